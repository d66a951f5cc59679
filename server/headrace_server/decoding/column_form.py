"""The fast form: packed columns become Arrow arrays by copying memory, never by touching a cell.

numpy reads a packed protobuf field in one copy (protobuf 7.34 and later); Arrow then wraps that memory. Lengths are
checked before any buffer is wrapped: a lying message must not make Arrow read beyond its end.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace.v1 import batch_pb2
from headrace_server.decoding.decoded import MAX_COLUMNS, Cells, DecodedRows, UndecodableError
from headrace_server.models.column_types import TIMESTAMP

_INT32_MAX = 2**31 - 1


def decode_columns(form: batch_pb2.ColumnBatch) -> DecodedRows:
    """Decode typed columns.

    Raises:
        UndecodableError: Lengths disagree, an index points outside its dictionary, or there are too many columns.
    """
    if len(form.columns) > MAX_COLUMNS:
        raise UndecodableError(f"{len(form.columns)} columns; at most {MAX_COLUMNS} are possible")
    columns: dict[str, Cells] = {}
    for column in form.columns:
        if column.name in columns:
            raise UndecodableError(f"column {column.name!r} stands twice in the batch")
        try:
            columns[column.name] = _cells(column, form.row_count)
        except UndecodableError as error:
            raise UndecodableError(f"column {column.name!r}: {error}") from error
    return DecodedRows(form.row_count, columns)


def _cells(column: batch_pb2.Column, rows: int) -> Cells:
    form = column.WhichOneof("values")
    if form is None:
        return Cells(pa.nulls(rows))
    validity = _validity(column.validity, rows)
    array = _READERS[form](getattr(column, form), rows, validity)
    return Cells(array, is_json=form == "json")


def _validity(bitmap: bytes, rows: int) -> pa.Buffer | None:
    if not bitmap:
        return None
    _expect("validity bytes", len(bitmap), (rows + 7) // 8)
    return pa.py_buffer(bitmap)


def _expect(what: str, found: int, expected: int) -> None:
    if found != expected:
        raise UndecodableError(f"{found} {what} where {expected} are needed")


def _fixed_width(field: str, arrow_type: pa.DataType) -> Callable[[Any, int, pa.Buffer | None], pa.Array]:
    def read(message: Any, rows: int, validity: pa.Buffer | None) -> pa.Array:
        values = np.asarray(getattr(message, field))
        _expect("values", len(values), rows)
        return pa.Array.from_buffers(arrow_type, rows, [validity, pa.py_buffer(values)])

    return read


def _bools(message: batch_pb2.BoolValues, rows: int, validity: pa.Buffer | None) -> pa.Array:
    values = np.asarray(message.values, dtype=np.bool_)
    _expect("values", len(values), rows)
    bits = np.packbits(values, bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), rows, [validity, pa.py_buffer(bits)])


def _offsets(lengths: npt.NDArray[Any], end: int) -> npt.NDArray[np.int32]:
    sums = np.cumsum(lengths, dtype=np.int64)
    total = int(sums[-1]) if len(sums) else 0
    _expect("bytes or items", end, total)
    if total > _INT32_MAX:
        raise UndecodableError("more than 2 GiB of text")
    offsets = np.zeros(len(lengths) + 1, dtype=np.int32)
    offsets[1:] = sums
    return offsets


def _strings(message: batch_pb2.StringValues, rows: int, validity: pa.Buffer | None) -> pa.Array:
    lengths = np.asarray(message.lengths)
    _expect("lengths", len(lengths), rows)
    data = message.data
    buffers = [validity, pa.py_buffer(_offsets(lengths, len(data))), pa.py_buffer(data)]
    texts = pa.Array.from_buffers(pa.string(), rows, buffers)
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:  # some text is not UTF-8: validation finds the rows
        return pa.Array.from_buffers(pa.binary(), rows, buffers)
    return texts


def _categories(message: batch_pb2.CategoryValues, rows: int, validity: pa.Buffer | None) -> pa.Array:
    dictionary = _strings(message.dictionary, len(message.dictionary.lengths), None)
    indices = np.asarray(message.indices).astype(np.int64, copy=False)
    _expect("indices", len(indices), rows)
    array = pa.Array.from_buffers(pa.int64(), rows, [validity, pa.py_buffer(np.ascontiguousarray(indices))])
    highest = pc.max(array).as_py()
    if highest is not None and highest >= len(dictionary):
        raise UndecodableError(f"index {highest} in a dictionary of {len(dictionary)}")
    return dictionary.take(array)


def _vectors(message: batch_pb2.VectorValues, rows: int, validity: pa.Buffer | None) -> pa.Array:
    values = np.asarray(message.values, dtype=np.float32)
    _expect("numbers", len(values), rows * message.dimension)
    offsets = np.arange(rows + 1, dtype=np.int32) * np.int32(message.dimension)
    return pa.Array.from_buffers(
        pa.list_(pa.float32()), rows, [validity, pa.py_buffer(offsets)], children=[pa.array(values)]
    )


def _string_lists(message: batch_pb2.StringListValues, rows: int, validity: pa.Buffer | None) -> pa.Array:
    lengths = np.asarray(message.lengths)
    _expect("list lengths", len(lengths), rows)
    count = len(message.items.lengths)
    items = _strings(message.items, count, None)
    return pa.Array.from_buffers(
        pa.list_(items.type), rows, [validity, pa.py_buffer(_offsets(lengths, count))], children=[items]
    )


_READERS: Mapping[str, Callable[[Any, int, pa.Buffer | None], pa.Array]] = {
    "bools": _bools,
    "int64s": _fixed_width("values", pa.int64()),
    "float64s": _fixed_width("values", pa.float64()),
    "strings": _strings,
    "json": _strings,
    "categories": _categories,
    "timestamps": _fixed_width("unix_micros", TIMESTAMP),
    "vectors": _vectors,
    "string_lists": _string_lists,
}
