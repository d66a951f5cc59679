"""The whole check: three forms that agree, unknown columns by policy, several faults at once."""

from typing import Any

import orjson
import pyarrow as pa
import pytest

from headrace_server.decoding.decode import decode
from headrace_server.decoding.decoded import Cells, DecodedRows, JsonText, UnixMicros
from headrace_server.models.column_types import TIMESTAMP, ValueType
from headrace_server.models.schema import UnknownColumns
from headrace_server.validation.rejections import MAX_GROUPS
from headrace_server.validation.row_schema import Field, RowSchema
from headrace_server.validation.validate import ValidatedRows, unknown_columns, validate
from support.event_schemas import MOMENT, schema
from support.model_definitions import feature
from support.wire_forms import FORMS

NEW_YEAR = 1_356_998_400_000_000

ROWS: dict[str, tuple[str, list[Any]]] = {
    "event_id": ("string", ["a", "b", "c"]),
    "event_time": ("timestamp", [NEW_YEAR, NEW_YEAR + 1, NEW_YEAR + 2]),
    "dep_delay": ("float64", [0.5, None, -3.25]),
    "distance": ("int64", [2**62, None, -1]),
    "carrier": ("category", ["UA", None, "UA"]),
    "note": ("string", ["", None, "é ✈"]),
    "diverted": ("bool", [True, None, False]),
    "booked_at": ("timestamp", [NEW_YEAR - 1, None, 0]),
    "embedding": ("vector", [[0.5, 1.0, -2.0], None, [0.0, 0.25, 1.5]]),
    "stops": ("string_list", [["EWR", ""], None, []]),
    "raw": ("json", [{"a": [1, None]}, None, {"é": "✈"}]),
    "score": ("float64", [0.1, 0.2, 0.3]),
    "tags": ("string_list", [None, ["canary"], None]),
    "latency_ms": ("float64", [4.5, None, None]),
    "metadata": ("json", [None, {"host": "h1"}, None]),
}


def refused(validated: ValidatedRows) -> dict[tuple[str, str], list[int]]:
    return {(group.reason, group.column): group.rows.nonzero()[0].tolist() for group in validated.rejections.groups}


def events(count: int, **columns: Any) -> DecodedRows:
    """Good events with further columns."""
    own: dict[str, Any] = {
        "event_id": pa.array([f"e{row}" for row in range(count)]),
        "event_time": pa.array([NEW_YEAR] * count, TIMESTAMP),
    }
    cells = {name: each if isinstance(each, Cells) else Cells(each) for name, each in (own | columns).items()}
    return DecodedRows(count, cells)


def sorted_table(validated: ValidatedRows) -> pa.Table:
    return validated.table.select(sorted(validated.table.column_names))


def test_the_three_forms_of_the_same_rows_are_the_same_table() -> None:
    tables = {}
    for name, form in FORMS.items():
        validated = validate(decode(form(ROWS)), schema(), MOMENT)
        assert not validated.rejections, name
        tables[name] = sorted_table(validated)
    assert tables["columns"].equals(tables["rows"])
    assert tables["columns"].equals(tables["json"])
    expected = {name: cells for name, (kind, cells) in ROWS.items() if kind not in {"json", "timestamp"}}
    found = tables["columns"].to_pydict()
    assert {name: found[name] for name in expected} == expected
    assert found["raw"] == ['{"a":[1,null]}', None, '{"é":"✈"}']


BAD: dict[str, tuple[str, list[Any], tuple[str, str]]] = {
    "type": ("dep_delay", ["soon", 1], ("WRONG_TYPE", "dep_delay")),
    "range": ("distance", [1e30, 1], ("VALUE_OUT_OF_RANGE", "distance")),
    "nul": ("note", ["a\0", "b"], ("NUL_IN_TEXT", "note")),
    "long": ("source", ["s" * 257, "b"], ("TEXT_TOO_LONG", "source")),
    "dimension": ("embedding", [[0.5], [0.5, 1.0, 1.5]], ("VECTOR_DIMENSION", "embedding")),
    "unknown": ("strange", [1, None], ("UNKNOWN_COLUMN", "strange")),
    "label": ("late", [True, None], ("LABEL_IN_EVENT", "late")),
    "written by us": ("observed_time", ["2013-01-01T00:00:00Z", None], ("IMMUTABLE_COLUMN", "observed_time")),
    "nul in json": ("raw", [{"a": "\0"}, {}], ("NUL_IN_TEXT", "raw")),
}


@pytest.mark.parametrize("fault", BAD)
@pytest.mark.parametrize("form", ["rows", "json"])
def test_a_bad_row_is_refused_by_name_and_costs_no_other(form: str, fault: str) -> None:
    name, cells, told = BAD[fault]
    kinds = {bool: "bool", int: "int64", float: "float64", str: "string", list: "vector", dict: "json"}
    good = {name: (kind, cells[:2]) for name, (kind, cells) in ROWS.items() if name in {"event_id", "event_time"}}
    sent = FORMS[form](good)
    if form == "json":
        rows = orjson.loads(sent.json.rows)
        for row, cell in zip(rows, cells, strict=True):
            row[name] = cell
        sent.json.rows = orjson.dumps(rows)
    else:
        for row, cell in zip(sent.rows.rows, cells, strict=True):
            if cell is not None:
                source = FORMS[form]({name: (kinds[type(cell)], [cell])}).rows.rows[0]
                row.values[name].CopyFrom(source.values[name])
    validated = validate(decode(sent), schema(), MOMENT)
    assert refused(validated) == {told: [0]}
    assert validated.places.tolist() == [1]
    assert validated.table.column("event_id").to_pylist() == ["b"]


def test_several_faults_of_a_row_are_all_told() -> None:
    rows = events(3, dep_delay=["x", 1.0, None], note=pa.array(["a\0", "b", "c\0"]), strange=pa.array([1, None, None]))
    assert refused(validate(rows, schema(), MOMENT)) == {
        ("WRONG_TYPE", "dep_delay"): [0],
        ("NUL_IN_TEXT", "note"): [0, 2],
        ("UNKNOWN_COLUMN", "strange"): [0],
    }


def test_good_rows_keep_their_order_and_places() -> None:
    rows = events(5, dep_delay=[1.0, "x", 2.0, "y", 3.0])
    validated = validate(rows, schema(), MOMENT)
    assert validated.places.tolist() == [0, 2, 4]
    assert validated.table.column("dep_delay").to_pylist() == [1.0, 2.0, 3.0]


def test_two_names_of_one_column_are_a_repeated_column() -> None:
    rows = events(2, score=pa.array([0.1, 0.2]), prediction=pa.array([0.3, 0.4]))
    validated = validate(rows, schema(), MOMENT)
    assert refused(validated) == {("COLUMN_REPEATED", "prediction"): [0, 1]}
    assert validated.rejections.groups[0].message == "'score' and 'prediction' are the same column"


def test_a_second_name_without_any_value_is_no_repeat() -> None:
    rows = events(2, score=pa.array([0.1, 0.2]), prediction=pa.nulls(2))
    assert not validate(rows, schema(), MOMENT).rejections


def test_columns_without_a_value_are_left_out() -> None:
    rows = events(2, dep_delay=pa.nulls(2), note=pa.array([None, None], pa.string()), strange=pa.nulls(2))
    validated = validate(rows, schema(), MOMENT)
    assert not validated.rejections
    assert sorted(validated.table.column_names) == ["event_id", "event_time", "observed_time"]


def test_an_unknown_column_is_refused_where_it_has_a_value() -> None:
    validated = validate(events(3, strange=pa.array([None, 1.5, None])), schema(), MOMENT)
    assert refused(validated) == {("UNKNOWN_COLUMN", "strange"): [1]}
    assert "add it with UpdateModel" in validated.rejections.groups[0].message


def test_more_unknown_columns_than_groups_refuse_every_row() -> None:
    count = MAX_GROUPS + 30
    rows = events(
        count, **{f"c{row}": pa.array([1 if row == each else None for each in range(count)]) for row in range(count)}
    )
    validated = validate(rows, schema(), MOMENT)
    assert len(validated.rejections.groups) == MAX_GROUPS
    assert validated.table.num_rows == 0


METADATA = schema(unknown_columns=UnknownColumns.METADATA)


def metadata_of(validated: ValidatedRows) -> list[Any]:
    return [text and orjson.loads(text) for text in validated.table.column("metadata").to_pylist()]


def test_unknown_columns_go_into_the_metadata() -> None:
    rows = events(
        3,
        number=pa.array([1.5, None, 2.5]),
        text=pa.array(["é", None, None]),
        time=pa.array([NEW_YEAR, None, None], TIMESTAMP),
        document=Cells(pa.array(['{"a": [1]}', None, "5"]), is_json=True),
        mixed=[1, None, "b"],
        numbers=pa.array([[1, 2], None, []], pa.list_(pa.int64())),
    )
    validated = validate(rows, METADATA, MOMENT)
    assert not validated.rejections
    assert metadata_of(validated) == [
        {
            "number": 1.5,
            "text": "é",
            "time": "2013-01-01T00:00:00+00:00",
            "document": {"a": [1]},
            "mixed": 1,
            "numbers": [1, 2],
        },
        None,
        {"number": 2.5, "document": 5, "mixed": "b", "numbers": []},
    ]


def test_the_rows_own_metadata_wins() -> None:
    own = Cells(pa.array(['{"host": "h1"}', "[1]", None]), is_json=True)
    rows = events(3, metadata=own, host=pa.array(["h2", "h3", "h4"]), zone=pa.array(["z", None, None]))
    assert metadata_of(validate(rows, METADATA, MOMENT)) == [
        {"host": "h1", "zone": "z"},
        {"host": "h3", "metadata": [1]},
        {"host": "h4"},
    ]


def test_what_json_cannot_hold_is_refused_under_the_unknown_columns_name() -> None:
    rows = events(
        5,
        number=pa.array([float("nan"), 1.0, 2.0, 3.0, 4.0]),
        document=Cells(["{}", JsonText("{"), JsonText("1"), None, None]),
        text=Cells(pa.array(["a", "b", b"\xff", "c\0", "d"], pa.binary())),
        time=[UnixMicros(2**63 - 1), None, None, None, UnixMicros(0)],
    )
    validated = validate(rows, METADATA, MOMENT)
    assert refused(validated) == {
        ("INVALID_JSON", "number"): [0],
        ("INVALID_JSON", "document"): [1],
        ("INVALID_UTF8", "text"): [2],
        ("NUL_IN_TEXT", "text"): [3],
        ("VALUE_OUT_OF_RANGE", "time"): [0],
    }
    assert metadata_of(validated) == [{"number": 4.0, "text": "d", "time": "1970-01-01T00:00:00+00:00"}]


def test_metadata_that_outgrows_a_document_is_refused() -> None:
    rows = events(2, one=pa.array(["a" * 40_000, "a"]), two=pa.array(["b" * 40_000, "b"]))
    assert refused(validate(rows, METADATA, MOMENT)) == {("TEXT_TOO_LONG", "metadata"): [0]}
    rows = DecodedRows(1, {**events(1).columns, "a\0b": Cells(pa.array([1]))})
    assert refused(validate(rows, METADATA, MOMENT)) == {("NUL_IN_TEXT", "metadata"): [0]}


def test_rows_of_a_kind_without_metadata_refuse_unknown_columns_whatever_the_policy() -> None:
    bare = RowSchema({"event_id": Field("event_id", ValueType.STRING)}, {}, UnknownColumns.METADATA)
    rows = DecodedRows(1, {"event_id": Cells(pa.array(["a"])), "strange": Cells(pa.array([1]))})
    assert refused(validate(rows, bare, MOMENT)) == {("UNKNOWN_COLUMN", "strange"): [0]}


def test_the_columns_a_model_would_have_to_add_are_those_with_a_value() -> None:
    rows = events(
        2,
        strange=pa.array([None, 1]),
        mixed=[None, "a"],
        void=pa.nulls(2),
        empty=[None, None],
        late=pa.array([True] * 2),
    )
    assert set(unknown_columns(rows, schema())) == {"strange", "mixed"}
    assert set(unknown_columns(rows, schema(feature("strange")))) == {"mixed", "late"}


def test_a_wide_batch_of_good_rows_is_good() -> None:
    of = schema(*(feature(f"x{index}") for index in range(200)))
    rows = events(1_000, **{f"x{index}": pa.array([0.5] * 1_000) for index in range(200)})
    validated = validate(rows, of, MOMENT)
    assert (validated.table.num_rows, validated.table.num_columns) == (1_000, 203)
