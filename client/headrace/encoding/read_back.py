"""Columns as the service sends them → Python values, without anything but protobuf.

A result says its columns once (ResultColumn); a column that is absent from a batch is null in all its rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from typing import Any

from headrace.v1 import batch_pb2, query_service_pb2

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rows_of(
    columns: Sequence[query_service_pb2.ResultColumn], batch: batch_pb2.ColumnBatch
) -> Iterator[dict[str, object]]:
    """Yield the rows of a batch as dicts with every column, in their order; None is null.

    Times are datetimes in UTC (beyond year 9999: microseconds since 1970), JSON documents what they hold, vectors lists
    of float, bytes are bytes.
    """
    by_name = {column.name: column for column in batch.columns}
    names = [column.name for column in columns]
    values = [values_of(by_name.get(name), batch.row_count) for name in names]
    for row in zip(*values, strict=True):
        yield dict(zip(names, row, strict=True))


def values_of(column: batch_pb2.Column | None, rows: int) -> Sequence[object]:
    """Return the cells of a column as Python values."""
    form = column.WhichOneof("values") if column is not None else None
    if column is None or form is None:
        return [None] * rows
    values = _READERS[form](getattr(column, form), rows)
    if not column.validity:
        return values
    bits = column.validity
    return [value if bits[place >> 3] >> (place & 7) & 1 else None for place, value in enumerate(values)]


def _plain(message: Any, _rows: int) -> Sequence[object]:
    return list(message.values)


def _texts(message: batch_pb2.StringValues, _rows: int = 0) -> Sequence[str]:
    ends = pairwise(accumulate(message.lengths, initial=0))
    data = message.data
    if data.isascii():
        text = data.decode()
        return [text[start:end] for start, end in ends]
    return [data[start:end].decode() for start, end in ends]


def _blobs(message: batch_pb2.BytesValues, _rows: int) -> Sequence[object]:
    data = message.data
    return [data[start:end] for start, end in pairwise(accumulate(message.lengths, initial=0))]


def _json(message: batch_pb2.StringValues, _rows: int) -> Sequence[object]:
    return [json.loads(text) if text else None for text in _texts(message)]


def _categories(message: batch_pb2.CategoryValues, _rows: int) -> Sequence[object]:
    texts = _texts(message.dictionary)
    return [texts[index] for index in message.indices]


def _times(message: batch_pb2.TimestampValues, _rows: int) -> Sequence[object]:
    return [_time(micros) for micros in message.unix_micros]


def _time(micros: int) -> datetime | int:
    try:
        return _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return micros


def _vectors(message: batch_pb2.VectorValues, rows: int) -> Sequence[object]:
    numbers, size = list(message.values), message.dimension
    return [numbers[row * size : (row + 1) * size] for row in range(rows)]


def _text_lists(message: batch_pb2.StringListValues, _rows: int) -> Sequence[object]:
    items = _texts(message.items)
    return [items[start:end] for start, end in pairwise(accumulate(message.lengths, initial=0))]


_READERS: Mapping[str, Callable[[Any, int], Sequence[object]]] = {
    "bools": _plain,
    "int64s": _plain,
    "float64s": _plain,
    "strings": _texts,
    "categories": _categories,
    "timestamps": _times,
    "vectors": _vectors,
    "string_lists": _text_lists,
    "json": _json,
    "blobs": _blobs,
}
