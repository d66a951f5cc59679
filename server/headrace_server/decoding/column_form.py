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
from headrace_server.decoding.decoded import Cells, DecodedRows, UndecodableError, check_names, check_size
from headrace_server.models.column_types import TIMESTAMP

_INT32_MAX = 2**31 - 1

# Texts of all category columns once each row has its own: a dictionary is the one form that weighs less on the wire.
MAX_CATEGORY_BYTES = 64 * 1024 * 1024


def decode_columns(form: batch_pb2.ColumnBatch) -> DecodedRows:
    """Decode typed columns.

    Raises:
        UndecodableError: Lengths disagree, an index points outside its dictionary, a name stands twice, or the columns
            are more than a table could have.
    """
    rows = form.row_count
    if rows and not any(_is_backed(column) for column in form.columns):
        raise UndecodableError(f"row_count says {rows}, but no column has values")
    check_size(0, len(form.columns))  # each cell has its byte on the wire, so there cannot be too many
    check_names(column.name for column in form.columns)
    columns: dict[str, Cells] = {}
    category_bytes = 0
    for column in form.columns:
        if column.name in columns:
            raise UndecodableError(f"column {column.name!r} stands twice in the batch", "COLUMN_REPEATED")
        try:
            array = _array(column, rows)
            if column.HasField("categories"):
                category_bytes += array.nbytes
                _expect_room(category_bytes)
        except UndecodableError as error:
            raise UndecodableError(f"column {column.name!r}: {error}") from error
        columns[column.name] = Cells(array, is_json=column.HasField("json"))
    return DecodedRows(rows, columns)


def _is_backed(column: batch_pb2.Column) -> bool:
    """Whether the column has at least a byte a row, so that row_count cannot promise rows that nobody sent."""
    form = column.WhichOneof("values")
    return form is not None and (form != "vectors" or column.vectors.dimension > 0)


def _array(column: batch_pb2.Column, rows: int) -> pa.Array:
    form = column.WhichOneof("values")
    if form is None:
        return pa.nulls(rows)
    return _READERS[form](getattr(column, form), rows, _validity(column.validity, rows))


def _validity(bitmap: bytes, rows: int) -> pa.Buffer | None:
    if not bitmap:
        return None
    _expect("validity bytes", len(bitmap), (rows + 7) // 8)
    return pa.py_buffer(bitmap)


def _expect(what: str, found: int, expected: int) -> None:
    if found != expected:
        raise UndecodableError(f"{found} {what} where {expected} are needed")


def _expect_room(category_bytes: int) -> None:
    if category_bytes > MAX_CATEGORY_BYTES:
        raise UndecodableError(f"categories of {category_bytes} bytes; at most {MAX_CATEGORY_BYTES} a batch are taken")


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
    if int(indices.max(initial=0)) >= len(dictionary):  # where there is no value the index means nothing
        highest = pc.max(array).as_py()
        if highest is None:
            return pa.nulls(rows, dictionary.type)
        if highest >= len(dictionary):
            raise UndecodableError(f"index {highest} in a dictionary of {len(dictionary)}")
    if len(message.dictionary.data) * rows > MAX_CATEGORY_BYTES:
        lengths = pc.binary_length(dictionary).cast(pa.int64())
        _expect_room(pc.sum(lengths.take(array)).as_py() or 0)
    return dictionary.take(array)


def _blobs(message: batch_pb2.BytesValues, rows: int, validity: pa.Buffer | None) -> pa.Array:
    lengths = np.asarray(message.lengths)
    _expect("lengths", len(lengths), rows)
    data = message.data
    offsets = _offsets(lengths, len(data)).astype(np.int64)
    return pa.Array.from_buffers(pa.large_binary(), rows, [validity, pa.py_buffer(offsets), pa.py_buffer(data)])


def _vectors(message: batch_pb2.VectorValues, rows: int, validity: pa.Buffer | None) -> pa.Array:
    values = np.asarray(message.values, dtype=np.float32)
    _expect("numbers", len(values), rows * message.dimension)
    offsets = (np.arange(rows + 1, dtype=np.int64) * message.dimension).astype(np.int32)
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
    "blobs": _blobs,
}
