"""Batches of any form → rows as dicts, read with the stubs alone: what a service of any language would see."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise

from headrace.v1 import batch_pb2

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UndecodableError(Exception):
    """The batch contradicts itself; the message says where."""


def rows_of_batch(batch: batch_pb2.Batch) -> list[dict[str, object]]:
    """Return the rows of a batch; null cells are left out.

    Raises:
        UndecodableError: Lengths disagree, a column stands twice, or the JSON is not an array of objects.
    """
    match batch.WhichOneof("form"):
        case "columns":
            return _rows_of_columns(batch.columns)
        case "rows":
            return [_row(row) for row in batch.rows.rows]
        case "json":
            return _rows_of_json(batch.json.rows)
        case _:
            return []


def _rows_of_columns(columns: batch_pb2.ColumnBatch) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [{} for _ in range(columns.row_count)]
    seen: set[str] = set()
    for column in columns.columns:
        if column.name in seen:
            raise UndecodableError(f"column {column.name} stands twice")
        seen.add(column.name)
        cells = _cells(column)
        if cells is None:
            continue
        if len(cells) != len(rows):
            raise UndecodableError(f"column {column.name} has {len(cells)} cells, the batch {len(rows)} rows")
        if column.validity and len(column.validity) != (len(rows) + 7) // 8:
            raise UndecodableError(f"column {column.name}: validity of {len(column.validity)} bytes")
        for index, (row, cell) in enumerate(zip(rows, cells, strict=True)):
            if not column.validity or column.validity[index // 8] >> index % 8 & 1:
                row[column.name] = cell
    return rows


def _cells(column: batch_pb2.Column) -> Sequence[object] | None:  # noqa: PLR0911 -- one a form of values
    match column.WhichOneof("values"):
        case "bools":
            return column.bools.values
        case "int64s":
            return column.int64s.values
        case "float64s":
            return column.float64s.values
        case "strings":
            return list(_texts(column.strings))
        case "categories":
            dictionary = list(_texts(column.categories.dictionary))
            return [dictionary[index] for index in column.categories.indices]
        case "timestamps":
            return [_EPOCH + timedelta(microseconds=micros) for micros in column.timestamps.unix_micros]
        case "vectors":
            size = column.vectors.dimension
            numbers = column.vectors.values
            return [list(numbers[start : start + size]) for start in range(0, len(numbers), size)]
        case "string_lists":
            items = _texts(column.string_lists.items)
            return [[next(items) for _ in range(length)] for length in column.string_lists.lengths]
        case "blobs":
            return _runs(column.blobs)
        case "json":
            return [json.loads(text) if text else None for text in _texts(column.json)]
        case _:
            return None


def _texts(strings: batch_pb2.StringValues) -> Iterator[str]:
    return map(bytes.decode, _runs(strings))


def _runs(values: batch_pb2.StringValues | batch_pb2.BytesValues) -> list[bytes]:
    if sum(values.lengths) != len(values.data):
        raise UndecodableError(f"lengths add up to {sum(values.lengths)}, the data to {len(values.data)} bytes")
    data = values.data
    return [data[start:end] for start, end in pairwise(accumulate(values.lengths, initial=0))]


def _row(row: batch_pb2.Row) -> dict[str, object]:
    cells: dict[str, object] = {"event_id": row.event_id} if row.event_id else {}
    if row.HasField("event_time"):
        cells["event_time"] = row.event_time.ToDatetime(UTC)
    for name, value in row.values.items():
        kind = value.WhichOneof("kind")
        if kind == "timestamp_value":
            cells[name] = value.timestamp_value.ToDatetime(UTC)
        elif kind in {"vector_value", "string_list_value"}:
            cells[name] = list(getattr(value, kind).values)
        elif kind == "json_value":
            cells[name] = json.loads(value.json_value)
        elif kind is not None:
            cells[name] = getattr(value, kind)
    return cells


def _rows_of_json(text: bytes) -> list[dict[str, object]]:
    rows = json.loads(text)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UndecodableError("JSON rows are an array of objects")
    return [{name: cell for name, cell in row.items() if cell is not None} for row in rows]
