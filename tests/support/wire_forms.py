"""The same rows in each of the three forms of a batch, written with the stubs alone.

Rows are given as typed columns: name → (type, cells), None for null. Times are microseconds since 1970, documents are
Python values.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from google.protobuf.timestamp_pb2 import Timestamp

from headrace.v1 import batch_pb2

Columns = Mapping[str, tuple[str, Sequence[Any]]]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def batch(**form: Any) -> batch_pb2.Batch:
    """A batch of events in some form."""
    return batch_pb2.Batch(kind=batch_pb2.RECORD_KIND_EVENTS, model="flight_delay", **form)


def as_columns(columns: Columns) -> batch_pb2.Batch:
    """The fast form."""
    rows = max((len(cells) for _, cells in columns.values()), default=0)
    form = batch_pb2.ColumnBatch(row_count=rows)
    for name, (kind, cells) in columns.items():
        form.columns.append(column(name, kind, cells))
    return batch(columns=form)


def as_rows(columns: Columns) -> batch_pb2.Batch:
    """The comfortable form."""
    form = batch_pb2.RowBatch()
    for index in range(len(next(iter(columns.values()))[1])):
        row = form.rows.add()
        for name, (kind, cells) in columns.items():
            cell = cells[index]
            if cell is None:
                continue
            if name == "event_id":
                row.event_id = cell
            elif name == "event_time":
                _set(row.event_time, cell)
            else:
                _fill(row.values[name], kind, cell)
    return batch(rows=form)


def as_json(columns: Columns) -> batch_pb2.Batch:
    """The universal form."""
    count = len(next(iter(columns.values()))[1])
    rows = [{name: _plain(kind, cells[index]) for name, (kind, cells) in columns.items()} for index in range(count)]
    return batch(json=batch_pb2.JsonRows(rows=orjson.dumps(rows)))


FORMS = {"columns": as_columns, "rows": as_rows, "json": as_json}


def column(name: str, kind: str, cells: Sequence[Any]) -> batch_pb2.Column:
    """One typed column; its validity is left out where every cell has a value."""
    made = batch_pb2.Column(name=name, validity=bitmap([cell is not None for cell in cells]))
    if all(cell is not None for cell in cells):
        made.validity = b""
    match kind:
        case "bool":
            made.bools.values.extend(bool(cell) for cell in cells)
        case "int64":
            made.int64s.values.extend(cell or 0 for cell in cells)
        case "float64":
            made.float64s.values.extend(0.0 if cell is None else cell for cell in cells)
        case "string":
            made.strings.CopyFrom(texts(cells))
        case "category":
            distinct = list(dict.fromkeys(cell for cell in cells if cell is not None))
            made.categories.dictionary.CopyFrom(texts(distinct))
            made.categories.indices.extend(0 if cell is None else distinct.index(cell) for cell in cells)
        case "timestamp":
            made.timestamps.unix_micros.extend(cell or 0 for cell in cells)
        case "vector":
            dimension = next((len(cell) for cell in cells if cell is not None), 1)
            made.vectors.dimension = dimension
            made.vectors.values.extend(number for cell in cells for number in cell or [0.0] * dimension)
        case "string_list":
            made.string_lists.lengths.extend(len(cell or ()) for cell in cells)
            made.string_lists.items.CopyFrom(texts([item for cell in cells for item in cell or ()]))
        case "bytes":
            made.blobs.lengths.extend(len(cell or b"") for cell in cells)
            made.blobs.data = b"".join(cell or b"" for cell in cells)
        case "json":
            made.json.CopyFrom(texts([None if cell is None else orjson.dumps(cell) for cell in cells]))
    return made


def texts(cells: Sequence[str | bytes | None]) -> batch_pb2.StringValues:
    """Texts end to end; bytes are taken as they are."""
    encoded = [b"" if cell is None else cell.encode() if isinstance(cell, str) else cell for cell in cells]
    return batch_pb2.StringValues(lengths=[len(text) for text in encoded], data=b"".join(encoded))


def bitmap(bits: Sequence[bool]) -> bytes:
    """Bits, least significant first."""
    packed = bytearray((len(bits) + 7) // 8)
    for index, bit in enumerate(bits):
        packed[index // 8] |= bit << index % 8
    return bytes(packed)


def _fill(value: batch_pb2.Value, kind: str, cell: Any) -> None:
    match kind:
        case "string" | "category":
            value.string_value = cell
        case "timestamp":
            _set(value.timestamp_value, cell)
        case "vector":
            value.vector_value.values.extend(cell)
        case "string_list":
            value.string_list_value.SetInParent()
            value.string_list_value.values.extend(cell)
        case "json":
            value.json_value = orjson.dumps(cell).decode()
        case _:
            setattr(value, f"{kind}_value", cell)


def _set(moment: Timestamp, micros: int) -> None:
    """Any time that 64 bits can say; protobuf's own setter takes the years 1 to 9999 only."""
    moment.seconds, rest = divmod(micros, 1_000_000)
    moment.nanos = rest * 1_000


def _plain(kind: str, cell: Any) -> Any:
    if kind == "timestamp" and cell is not None:
        return (_EPOCH + timedelta(microseconds=cell)).isoformat()
    if kind == "bytes" and cell is not None:
        return base64.b64encode(cell).decode()
    return cell
