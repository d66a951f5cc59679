"""The comfortable form: one message a row, its cells in a map by column name.

Reading a cell from Python costs a tenth of a microsecond, so each is read once: kind and value together, into the list
of its column. A column whose cells are all of one kind becomes a typed array.
"""

from typing import Any

import pyarrow as pa

from headrace.v1 import batch_pb2
from headrace_server.decoding.decoded import (
    Cells,
    DecodedRows,
    JsonText,
    RawBytes,
    UndecodableError,
    UnixMicros,
    check_names,
    check_size,
)
from headrace_server.decoding.loose_cells import pack
from headrace_server.models.column_types import TIMESTAMP

_ARROW = {
    "bool_value": pa.bool_(),
    "int64_value": pa.int64(),
    "float64_value": pa.float64(),
    "string_value": pa.string(),
    "timestamp_value": TIMESTAMP,
    "vector_value": pa.list_(pa.float32()),
    "string_list_value": pa.list_(pa.string()),
    "json_value": pa.string(),
    "bytes_value": pa.large_binary(),
}
_NUMBERS = frozenset({"int64_value", "float64_value"})
_SYSTEM = ("event_id", "event_time")
_INT64_MAX = 2**63 - 1


def decode_rows(form: batch_pb2.RowBatch) -> DecodedRows:
    """Decode row messages.

    Raises:
        UndecodableError: A row names event_id or event_time among its values, or there are too many column names.
    """
    count = len(form.rows)
    event_ids: list[object] = [None] * count
    event_times: list[object] = [None] * count
    cells: dict[str, list[object]] = {}
    kinds: dict[str, set[str]] = {}
    for index, row in enumerate(form.rows):
        event_ids[index] = row.event_id or None
        if row.HasField("event_time"):
            event_times[index] = _micros(row.event_time)
        for name, value in row.values.items():
            column = cells.get(name)
            if column is None:
                if name in _SYSTEM:
                    raise UndecodableError(f"{name} belongs beside the values of a row, not among them (row {index})")
                check_size(count, len(cells) + 1)
                column = cells[name] = [None] * count
                kinds[name] = set()
            kind = value.WhichOneof("kind")
            if kind is not None:
                kinds[name].add(kind)
                column[index] = _read(kind, value)
    check_names(cells)
    columns = {
        "event_id": Cells(pa.array(event_ids, pa.string())),
        "event_time": Cells(pa.array(event_times, TIMESTAMP)),
    }
    columns.update((name, _column(cells[name], kinds[name])) for name in cells)
    return DecodedRows(count, columns)


def _column(values: list[object], kinds: set[str]) -> Cells:
    if not kinds:
        return Cells(pa.nulls(len(values)))
    if len(kinds) > 1:
        return pack(values) if kinds <= _NUMBERS else Cells(values)
    (kind,) = kinds
    return Cells(pa.array(values, _ARROW[kind]), is_json=kind == "json_value")


def _read(kind: str, value: batch_pb2.Value) -> object:
    cell: Any = getattr(value, kind)
    if kind == "timestamp_value":
        return UnixMicros(_micros(cell))
    if kind in {"vector_value", "string_list_value"}:
        return list(cell.values)
    if kind == "bytes_value":
        return RawBytes(cell)
    return JsonText(cell) if kind == "json_value" else cell


def _micros(moment: Any) -> int:
    """Microseconds since 1970; what 64 bits cannot hold becomes the nearest they can, which no column accepts."""
    micros = int(moment.seconds * 1_000_000 + (moment.nanos + 500) // 1_000)
    return max(-_INT64_MAX, min(micros, _INT64_MAX))
