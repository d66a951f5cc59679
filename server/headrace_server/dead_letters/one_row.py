"""One row of a batch as a batch of its own, in the form the batch has: what a dead letter holds.

The fast form keeps its types and its raw bytes, so a text that is no UTF-8 comes back as it was; a cell without a value
is left out.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
import pyarrow as pa

from headrace.v1 import batch_pb2
from headrace_server.decoding.decoded import Cells, DecodedRows
from headrace_server.decoding.json_form import parse_rows

Write = Callable[[batch_pb2.Column, Any], None]


def one_row_batches(batch: batch_pb2.Batch, rows: DecodedRows, indexes: Sequence[int]) -> Iterator[batch_pb2.Batch]:
    """Cut rows out of a batch.

    Args:
        batch: The batch as it was sent.
        rows: The same, decoded.
        indexes: Which rows.
    """
    match batch.WhichOneof("form"):
        case "rows":
            for index in indexes:
                yield _like(batch, rows=batch_pb2.RowBatch(rows=[batch.rows.rows[index]]))
        case "json":
            sent = parse_rows(batch.json)
            for index in indexes:
                yield _like(batch, json=batch_pb2.JsonRows(rows=_dumped([sent[index]])))
        case _:
            for columns in one_row_columns(rows.columns, indexes):
                yield _like(batch, columns=columns)


def one_row_columns(columns: Mapping[str, Cells], indexes: Sequence[int]) -> Iterator[batch_pb2.ColumnBatch]:
    """Cut rows out of typed columns.

    Args:
        columns: Columns as arrays, by name.
        indexes: Which rows.
    """
    slices = [(name, *_values(cells, indexes)) for name, cells in columns.items()]
    for position in range(len(indexes)):
        row = batch_pb2.ColumnBatch(row_count=1)
        for name, write, values in slices:
            value = values[position]
            if value is not None:
                write(row.columns.add(name=name), value)
        if not row.columns:  # a row of nulls is a row all the same
            row.columns.add(name="event_id", validity=b"\0", strings=batch_pb2.StringValues(lengths=[0]))
        yield row


def _like(batch: batch_pb2.Batch, **form: Any) -> batch_pb2.Batch:
    return batch_pb2.Batch(kind=batch.kind, model=batch.model, model_version=batch.model_version, **form)


def _dumped(rows: list[dict[str, object]]) -> bytes:
    try:
        return orjson.dumps(rows)
    except orjson.JSONEncodeError:  # it writes less deep than it reads
        return json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()


def _values(cells: Cells, indexes: Sequence[int]) -> tuple[Write, list[Any]]:
    """How cells of this type are written, and the cells of some rows."""
    whole = cells.values if isinstance(cells.values, pa.Array) else pa.array(cells.values)
    array = whole.take(pa.array(indexes, pa.int64()))
    kind = array.type
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return (_json if cells.is_json else _string), array.cast(pa.binary()).to_pylist()
    if pa.types.is_timestamp(kind):
        return _timestamp, array.cast(pa.int64()).to_pylist()
    if pa.types.is_list(kind):
        is_vector = pa.types.is_floating(kind.value_type)
        return (_vector if is_vector else _string_list), array.to_pylist()
    return _WRITERS[kind], array.to_pylist()


def _bool(column: batch_pb2.Column, value: bool) -> None:
    column.bools.values.append(value)


def _int64(column: batch_pb2.Column, value: int) -> None:
    column.int64s.values.append(value)


def _float64(column: batch_pb2.Column, value: float) -> None:
    column.float64s.values.append(value)


def _timestamp(column: batch_pb2.Column, value: int) -> None:
    column.timestamps.unix_micros.append(value)


def _string(column: batch_pb2.Column, value: bytes) -> None:
    _fill(column.strings, [value])


def _uuid(column: batch_pb2.Column, value: bytes) -> None:
    _fill(column.strings, [str(UUID(bytes=value)).encode()])


def _json(column: batch_pb2.Column, value: bytes) -> None:
    _fill(column.json, [value])


def _blob(column: batch_pb2.Column, value: bytes) -> None:
    column.blobs.lengths.append(len(value))
    column.blobs.data = value


def _vector(column: batch_pb2.Column, value: list[float]) -> None:
    column.vectors.dimension = len(value)
    column.vectors.values.extend(value)


def _string_list(column: batch_pb2.Column, value: list[str | bytes]) -> None:
    column.string_lists.lengths.append(len(value))
    _fill(column.string_lists.items, [item if isinstance(item, bytes) else item.encode() for item in value])


def _fill(strings: batch_pb2.StringValues, texts: list[bytes]) -> None:
    strings.lengths.extend([len(text) for text in texts])
    strings.data = b"".join(texts)


_WRITERS: Mapping[pa.DataType, Write] = {
    pa.bool_(): _bool,
    pa.int64(): _int64,
    pa.float64(): _float64,
    pa.binary(16): _uuid,
    pa.large_binary(): _blob,
    pa.null(): _string,
}
