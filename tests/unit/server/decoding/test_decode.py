"""Whatever bytes come: a batch is decoded, or it is undecodable, and nothing else is ever raised."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.v1 import batch_pb2
from headrace_server.dead_letters.letters import letters_of_rejections
from headrace_server.decoding.decode import decode
from headrace_server.decoding.decoded import UndecodableError
from headrace_server.models.schema import UnknownColumns
from headrace_server.validation.validate import validate
from support.event_schemas import MOMENT, schema
from support.wire_forms import FORMS, as_columns, as_rows, batch, column

SCHEMAS = [schema(unknown_columns=policy) for policy in (UnknownColumns.REJECT, UnknownColumns.METADATA)]
NAMES = sorted({*SCHEMAS[0].fields, *SCHEMAS[0].refused, "strange"})

TEXT = st.text(max_size=8)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float64": st.floats(),
    "string": TEXT,
    "category": TEXT,
    "timestamp": st.integers(-(2**63), 2**63 - 1),
    "string_list": st.lists(TEXT, max_size=3),
    "json": JSON,
    "bytes": st.binary(),
}


@st.composite
def tables(draw: st.DrawFn) -> dict[str, tuple[str, Sequence[Any]]]:
    """Columns of any types under any names, right or wrong."""
    rows = draw(st.integers(1, 9))
    table: dict[str, tuple[str, Sequence[Any]]] = {}
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=5)):
        kind = draw(st.sampled_from([*CELLS, "vector"]))
        dimension = draw(st.integers(1, 4))
        vectors = st.lists(st.floats(width=32), min_size=dimension, max_size=dimension)
        cells = CELLS.get(kind, vectors)
        table[name] = (kind, draw(st.lists(st.none() | cells, min_size=rows, max_size=rows)))
    return table


def check(sent: batch_pb2.Batch) -> None:
    """Take the batch through decoding, validation and dead letters, and see that each row has one outcome."""
    try:
        rows = decode(sent)
    except UndecodableError:
        return
    for cells in rows.columns.values():
        assert len(cells.values) == rows.row_count
    for each in SCHEMAS:
        validated = validate(rows, each, MOMENT)
        refused = validated.rejections.mask()
        assert validated.table.num_rows == len(validated.places) == rows.row_count - refused.sum()
        assert not refused[validated.places].any()
        letters = letters_of_rejections(sent, rows, validated.rejections)
        assert [letter.row for letter in letters] == refused.nonzero()[0].tolist()
        for letter in letters:
            assert decode(batch_pb2.Batch.FromString(letter.payload)).row_count == 1


@settings(print_blob=True, deadline=None)
@given(tables())
def test_columns_of_any_types_have_an_outcome(table: dict[str, tuple[str, Sequence[Any]]]) -> None:
    check(as_columns(table))


@settings(print_blob=True, deadline=None)
@given(tables())
def test_map_rows_of_any_types_have_an_outcome(table: dict[str, tuple[str, Sequence[Any]]]) -> None:
    of_rows = {name: cells for name, cells in table.items() if name not in {"event_id", "event_time"}}
    if of_rows:
        sent = as_rows(of_rows)
        for seconds, row in enumerate(sent.rows.rows):
            row.event_id, row.event_time.seconds = f"e{seconds}", (-9) ** (7 * seconds % 20)
        check(sent)


@settings(print_blob=True, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(NAMES) | TEXT, JSON, max_size=5), max_size=6))
def test_json_rows_of_any_types_have_an_outcome(rows: list[dict[str, Any]]) -> None:
    check(batch(json=batch_pb2.JsonRows(rows=orjson.dumps(rows))))


@settings(print_blob=True, deadline=None, max_examples=150)
@given(tables(), st.data())
def test_columns_that_lie_about_their_lengths_raise_nothing_else(
    table: dict[str, tuple[str, Sequence[Any]]], data: st.DataObject
) -> None:
    sent = as_columns(table)
    for each in sent.columns.columns:
        each.validity = data.draw(st.just(each.validity) | st.binary(max_size=3))
    sent.columns.row_count = data.draw(st.just(sent.columns.row_count) | st.integers(0, 20))
    stated = [
        numbers
        for each in sent.columns.columns
        for numbers in (
            each.strings.lengths,
            each.categories.indices,
            each.categories.dictionary.lengths,
            each.string_lists.lengths,
            each.string_lists.items.lengths,
        )
        if numbers
    ]
    for numbers in stated:
        index = data.draw(st.integers(0, len(numbers) - 1))
        numbers[index] = data.draw(st.just(numbers[index]) | st.integers(0, 12) | st.integers(0, 2**32 - 1))
    check(sent)


@settings(print_blob=True, deadline=None, max_examples=250)
@given(st.sampled_from(sorted(FORMS)), st.data())
def test_a_batch_with_some_bytes_changed_raises_nothing_else(form: str, data: st.DataObject) -> None:
    sent = bytearray(FORMS[form](EXAMPLE).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        sent[data.draw(st.integers(0, len(sent) - 1))] = data.draw(st.integers(0, 255))
    try:
        changed = batch_pb2.Batch.FromString(bytes(sent))
    except DecodeError:
        return
    check(changed)


EXAMPLE = {
    "event_id": ("string", ["a", "b", "c"]),
    "event_time": ("timestamp", [1_356_998_400_000_000, 1_356_998_401_000_000, None]),
    "distance": ("int64", [1, None, 2**62]),
    "carrier": ("category", ["UA", "AA", None]),
    "embedding": ("vector", [[0.5, 1.0, 1.5], None, [0.0, 0.0, 1.0]]),
    "stops": ("string_list", [["EWR", "é"], [], None]),
    "raw": ("json", [{"a": [1, "é"]}, None, "text"]),
}


def test_a_batch_without_a_form_has_no_rows() -> None:
    assert decode(batch()).row_count == 0


def test_a_form_of_the_future_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_pb2.Batch, "WhichOneof", lambda self, oneof: "arrow", raising=False)
    with pytest.raises(UndecodableError, match="'arrow' is not known"):
        decode(batch())


def test_the_example_is_good_in_every_form() -> None:
    for form in FORMS.values():
        validated = validate(decode(form(EXAMPLE)), SCHEMAS[0], MOMENT)
        assert validated.places.tolist() == [0, 1]
    assert (
        decode(batch(columns=batch_pb2.ColumnBatch(row_count=1, columns=[column("x", "bool", [True])]))).row_count == 1
    )
