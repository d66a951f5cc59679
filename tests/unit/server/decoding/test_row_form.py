"""Map rows: cells of any kind in any row become columns."""

from typing import Any

import pyarrow as pa
import pytest

from headrace.v1 import batch_pb2
from headrace_server.decoding import decoded as bounds
from headrace_server.decoding.decoded import DecodedRows, JsonText, UndecodableError, UnixMicros
from headrace_server.decoding.row_form import decode_rows


def rows(*cells: dict[str, dict[str, Any]]) -> DecodedRows:
    """Decode rows given as name → {kind: value}."""
    form = batch_pb2.RowBatch()
    for values in cells:
        row = form.rows.add()
        for name, value in values.items():
            row.values[name].CopyFrom(batch_pb2.Value(**value))
    return decode_rows(form)


def test_ids_and_times_of_the_rows_are_columns() -> None:
    form = batch_pb2.RowBatch()
    form.rows.add(event_id="a").event_time.FromJsonString("2013-01-01T00:00:00.000000600Z")
    form.rows.add()
    decoded = decode_rows(form)
    assert decoded.columns["event_id"].python_values() == ["a", None]
    assert decoded.columns["event_time"].python_values() == [1_356_998_400_000_001, None]


def test_cells_of_one_kind_are_a_typed_column_with_null_where_a_row_has_none() -> None:
    decoded = rows(
        {"n": {"int64_value": -5}, "t": {"string_value": "a\0"}, "d": {"json_value": "{}"}},
        {"b": {"bool_value": False}, "v": {"vector_value": {"values": [0.5]}}, "n": {}},
        {"l": {"string_list_value": {"values": []}}, "v": {"vector_value": {}}},
    )
    found = {name: cells.python_values() for name, cells in decoded.columns.items() if not name.startswith("event_")}
    assert found == {
        "n": [-5, None, None],
        "t": ["a\0", None, None],
        "d": ["{}", None, None],
        "b": [None, False, None],
        "v": [None, [0.5], []],
        "l": [None, None, []],
    }
    assert decoded.columns["d"].is_json
    assert all(isinstance(cells.values, pa.Array) for cells in decoded.columns.values())


def test_whole_and_fractional_numbers_in_one_column_are_numbers() -> None:
    decoded = rows({"x": {"int64_value": 1}}, {"x": {"float64_value": 0.5}}, {})
    assert decoded.columns["x"].values.type == pa.float64()
    assert decoded.columns["x"].python_values() == [1.0, 0.5, None]


def test_a_column_of_mixed_kinds_keeps_each_cell_as_it_is() -> None:
    moment = {"timestamp_value": {"seconds": 1, "nanos": 500}}
    decoded = rows({"x": {"int64_value": 1}}, {"x": {"string_value": "b"}}, {"x": moment}, {"x": {"json_value": "1"}})
    cells = decoded.columns["x"].python_values()
    assert cells == [1, "b", 1_000_001, "1"]
    assert [type(cell) for cell in cells] == [int, str, UnixMicros, JsonText]


def test_a_column_without_a_kind_is_null() -> None:
    assert rows({"x": {}}, {"x": {}}).columns["x"].python_values() == [None, None]


@pytest.mark.parametrize("seconds", [2**62, -(2**62)])
def test_times_beyond_64_bits_become_the_furthest_there_are(seconds: int) -> None:
    form = batch_pb2.RowBatch()
    form.rows.add().event_time.seconds = seconds
    form.rows[0].values["x"].timestamp_value.seconds = seconds
    decoded = decode_rows(form)
    furthest = (2**63 - 1) * (1 if seconds > 0 else -1)
    assert decoded.columns["event_time"].python_values() == decoded.columns["x"].python_values() == [furthest]


def test_no_rows_are_no_rows() -> None:
    assert rows().row_count == 0


def test_event_id_among_the_values_is_told() -> None:
    with pytest.raises(UndecodableError, match=r"event_id belongs beside the values .* \(row 1\)"):
        rows({"x": {"int64_value": 1}}, {"event_id": {"string_value": "a"}})


def test_rows_that_share_no_name_do_not_make_a_table_of_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_CELLS", 100)
    assert rows(*({f"x{row}": {"bool_value": True}} for row in range(10))).row_count == 10
    with pytest.raises(UndecodableError, match="11 rows × 10 columns"):
        rows(*({f"x{row}": {"bool_value": True}} for row in range(11)))


def test_more_names_than_a_table_has_columns_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MAX_COLUMNS", 3)
    with pytest.raises(UndecodableError, match="4 different columns"):
        rows({f"x{index}": {"bool_value": True} for index in range(4)})


def test_a_name_longer_than_any_column_is_refused() -> None:
    with pytest.raises(UndecodableError, match="longer than 256"):
        rows({"x" * 257: {"bool_value": True}})
