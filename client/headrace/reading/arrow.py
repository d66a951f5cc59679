"""Columns as the service sends them → Arrow, from memory to memory.

The schema comes from the result's columns, so that every batch of a result has the same. JSON documents stay texts;
vectors are lists of their dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.v1 import batch_pb2, model_pb2, query_service_pb2

if TYPE_CHECKING:
    import polars as pl

    from headrace.reading.events import Part

# pyarrow has no types, so its arrays and types are Any throughout.

_TYPES: Mapping[int, Any] = {
    model_pb2.VALUE_TYPE_BOOL: pa.bool_(),
    model_pb2.VALUE_TYPE_INT64: pa.int64(),
    model_pb2.VALUE_TYPE_FLOAT64: pa.float64(),
    model_pb2.VALUE_TYPE_STRING: pa.string(),
    model_pb2.VALUE_TYPE_CATEGORY: pa.string(),
    model_pb2.VALUE_TYPE_TIMESTAMP: pa.timestamp("us", "UTC"),
    model_pb2.VALUE_TYPE_STRING_LIST: pa.list_(pa.string()),
    model_pb2.VALUE_TYPE_JSON: pa.string(),
    model_pb2.VALUE_TYPE_BYTES: pa.binary(),
}


def table_of(parts: Iterable[Part]) -> Any:
    """Return the parts of a result, one at least, as a pyarrow.Table."""
    return pa.Table.from_batches([record_batch_of(part) for part in parts])


def polars_of(table: Any) -> pl.DataFrame:
    """Return a pyarrow.Table as a polars.DataFrame."""
    import polars  # noqa: PLC0415 -- needed by nobody else

    frame = polars.from_arrow(table)
    assert isinstance(frame, polars.DataFrame)  # noqa: S101 -- of a table it is one
    return frame


def record_batch_of(part: Part) -> Any:
    """Return a part as a pyarrow.RecordBatch; those of one result have one schema."""
    by_name = {column.name: column for column in part.batch.columns}
    schema = _schema_of(part.columns)
    arrays = [_array(by_name.get(field.name), field.type, len(part)) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _schema_of(columns: Sequence[query_service_pb2.ResultColumn]) -> Any:
    return pa.schema([(column.name, _type_of(column)) for column in columns])


def _type_of(column: query_service_pb2.ResultColumn) -> Any:
    if column.type == model_pb2.VALUE_TYPE_VECTOR:
        return pa.list_(pa.float32(), column.dimension) if column.dimension else pa.list_(pa.float32())
    return _TYPES.get(column.type, pa.string())


def _array(column: batch_pb2.Column | None, kind: Any, rows: int) -> Any:
    form = column.WhichOneof("values") if column is not None else None
    if column is None or form is None:
        return pa.nulls(rows, kind)
    validity = pa.py_buffer(column.validity) if column.validity else None
    array = _READERS[form](getattr(column, form), rows, validity)
    return array if array.type == kind else array.cast(kind)


def _fixed_width(field: str, kind: Any) -> Callable[[Any, int, Any], Any]:
    def read(message: Any, rows: int, validity: Any) -> Any:
        return pa.Array.from_buffers(kind, rows, [validity, pa.py_buffer(np.asarray(getattr(message, field)))])

    return read


def _bools(message: batch_pb2.BoolValues, rows: int, validity: Any) -> Any:
    bits = np.packbits(np.asarray(message.values, dtype=np.bool_), bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), rows, [validity, pa.py_buffer(bits)])


def _offsets(lengths: Any) -> Any:
    offsets = np.zeros(len(lengths) + 1, dtype=np.int32)
    np.cumsum(np.asarray(lengths), out=offsets[1:])
    return pa.py_buffer(offsets)


def _texts(message: batch_pb2.StringValues, rows: int, validity: Any) -> Any:
    return pa.Array.from_buffers(pa.string(), rows, [validity, _offsets(message.lengths), pa.py_buffer(message.data)])


def _blobs(message: batch_pb2.BytesValues, rows: int, validity: Any) -> Any:
    return pa.Array.from_buffers(pa.binary(), rows, [validity, _offsets(message.lengths), pa.py_buffer(message.data)])


def _categories(message: batch_pb2.CategoryValues, rows: int, validity: Any) -> Any:
    texts = _texts(message.dictionary, len(message.dictionary.lengths), None)
    indices = np.asarray(message.indices).astype(np.int64)
    return texts.take(pa.Array.from_buffers(pa.int64(), rows, [validity, pa.py_buffer(indices)]))


def _vectors(message: batch_pb2.VectorValues, rows: int, validity: Any) -> Any:
    numbers = pa.array(np.asarray(message.values, dtype=np.float32))
    return pa.Array.from_buffers(pa.list_(pa.float32(), message.dimension), rows, [validity], children=[numbers])


def _text_lists(message: batch_pb2.StringListValues, rows: int, validity: Any) -> Any:
    items = _texts(message.items, len(message.items.lengths), None)
    buffers = [validity, _offsets(message.lengths)]
    return pa.Array.from_buffers(pa.list_(pa.string()), rows, buffers, children=[items])


_READERS: Mapping[str, Callable[[Any, int, Any], Any]] = {
    "bools": _bools,
    "int64s": _fixed_width("values", pa.int64()),
    "float64s": _fixed_width("values", pa.float64()),
    "strings": _texts,
    "json": _texts,
    "categories": _categories,
    "timestamps": _fixed_width("unix_micros", pa.timestamp("us", "UTC")),
    "vectors": _vectors,
    "string_lists": _text_lists,
    "blobs": _blobs,
}
