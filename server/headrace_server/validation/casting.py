"""From a column as it was sent to the column's own type, with the cells that do not fit told apart.

In bulk wherever Arrow has the whole column in one type; cell by cell (casting_cells.py) only for columns of mixed
Python values and for columns where the bulk cast met a cell it could not take.
"""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace_server.decoding.decoded import Cells
from headrace_server.models.column_types import TIMESTAMP, ValueType
from headrace_server.validation.casting_cells import EARLIEST_MICROS, LATEST_MICROS, cast_cells
from headrace_server.validation.json_documents import cast_documents
from headrace_server.validation.memory_views import micros_within, text_lengths
from headrace_server.validation.rejections import Rejections
from headrace_server.validation.row_schema import Field, Mask
from headrace_server.validation.uuid_texts import octets_of

Bulk = Callable[[pa.Array, Field, str, Rejections], pa.Array | None]

_INT64_BOUND = 2.0**63


def cast(cells: Cells, field: Field, name: str, rejections: Rejections) -> pa.Array:
    """Cast a column; cells that do not fit become null and their rows are refused.

    Args:
        cells: The column as it was sent.
        field: What it should be.
        name: The client's name for it, for the verdict.
        rejections: Where refused rows go.

    Returns:
        An array of `field.arrow`.
    """
    bulk: pa.Array | None = None
    if field.type is ValueType.JSON:
        bulk = cast_documents(cells, field)
    elif isinstance(cells.values, pa.Array) and not cells.holds_bad_text:
        if cells.is_json:
            return _wrong_type(cells.values, field, name, rejections, sent="JSON")
        in_bulk = _uuid if field.is_uuid else _BULK[field.type]
        bulk = in_bulk(cells.values, field, name, rejections)
    return bulk if bulk is not None else cast_cells(cells.python_values(), field, name, rejections)


def as_mask(condition: pa.Array) -> Mask:
    """A boolean array as a numpy mask, null as false."""
    mask: Mask = pc.fill_null(condition, fill_value=False).to_numpy(zero_copy_only=False)
    return mask


# Each of these casts a whole column, or returns None where some cell needs a look of its own.


def _wrong_type(array: pa.Array, field: Field, name: str, rejections: Rejections, sent: str = "") -> pa.Array:
    message = f"{name} is {field.type.name}, the batch sends {sent or array.type}"
    rejections.add("WRONG_TYPE", name, as_mask(array.is_valid()), message)
    return pa.nulls(len(array), field.arrow)


def _bool(array: pa.Array, field: Field, name: str, rejections: Rejections) -> pa.Array | None:
    return array if pa.types.is_boolean(array.type) else _wrong_type(array, field, name, rejections)


def _int64(array: pa.Array, field: Field, name: str, rejections: Rejections) -> pa.Array | None:
    if pa.types.is_int64(array.type):
        return array
    if not pa.types.is_float64(array.type):
        return _wrong_type(array, field, name, rejections)
    numbers = array.fill_null(0.0).to_numpy()
    with np.errstate(invalid="ignore"):
        out_of_range = (numbers < -_INT64_BOUND) | (numbers >= _INT64_BOUND)
        fractional = ~out_of_range & (numbers != np.floor(numbers))
    for bad, reason, fault in (
        (fractional, "WRONG_TYPE", "is no whole number"),
        (out_of_range, "VALUE_OUT_OF_RANGE", "does not fit 64 bits"),
    ):
        if bad.any():
            rejections.add(reason, name, bad, f"{name} is INT64; {numbers[int(bad.argmax())]} {fault}")
    bad = fractional | out_of_range
    whole = pa.array(np.where(bad, 0.0, numbers).astype(np.int64))
    return pc.if_else(pa.array(bad | ~as_mask(array.is_valid())), pa.scalar(None, pa.int64()), whole)


def _float64(array: pa.Array, field: Field, name: str, rejections: Rejections) -> pa.Array | None:
    if pa.types.is_float64(array.type):
        return array
    if pa.types.is_int64(array.type):
        return array.cast(pa.float64(), safe=False)
    return _wrong_type(array, field, name, rejections)


def _text(array: pa.Array, field: Field, name: str, rejections: Rejections) -> pa.Array | None:
    if not pa.types.is_string(array.type):
        return _wrong_type(array, field, name, rejections)
    return array if _fits(array, field) else None


def _fits(texts: pa.Array, field: Field) -> bool:
    """Whether no text is too long and none holds NUL; two passes over memory and no row touched."""
    return int(text_lengths(texts).max(initial=0)) <= field.max_bytes and not _holds_nul(texts)


def _holds_nul(texts: pa.Array) -> bool:
    if texts.offset or len(texts) == 0:
        return bool(pc.any(pc.match_substring(texts, "\0")).as_py())
    data = texts.buffers()[2]
    return data is not None and b"\0" in memoryview(data).tobytes()


def _timestamp(array: pa.Array, field: Field, name: str, rejections: Rejections) -> pa.Array | None:
    if array.type == TIMESTAMP:
        times = array
    elif pa.types.is_int64(array.type) or pa.types.is_float64(array.type):
        times = _from_seconds(array)
    elif pa.types.is_string(array.type):
        times = _from_texts(array)
    else:
        return _wrong_type(array, field, name, rejections)
    return times if times is not None and micros_within(times, EARLIEST_MICROS, LATEST_MICROS) else None


def _from_seconds(array: pa.Array) -> pa.Array | None:
    try:
        micros = pc.round(pc.multiply_checked(array, 1_000_000)).cast(pa.int64())
    except pa.ArrowInvalid:
        return None
    return micros.cast(pa.timestamp("us")).cast(TIMESTAMP)


def _from_texts(array: pa.Array) -> pa.Array | None:
    try:
        return array.cast(TIMESTAMP)
    except pa.ArrowInvalid:
        return None


def _vector(array: pa.Array, field: Field, name: str, rejections: Rejections) -> pa.Array | None:
    if not pa.types.is_list(array.type):
        return _wrong_type(array, field, name, rejections)
    numbers = array.flatten()
    if numbers.null_count or not (pa.types.is_floating(numbers.type) or pa.types.is_int64(numbers.type)):
        return None
    if pa.types.is_float64(numbers.type) and _beyond_float32(numbers.to_numpy()).any():
        return None
    lengths = array.value_lengths()
    wrong = as_mask(pc.not_equal(lengths, field.dimension))
    if wrong.any():
        found = lengths[int(wrong.argmax())].as_py()
        message = f"{name} has dimension {field.dimension}; the vector has {found} numbers"
        rejections.add("VECTOR_DIMENSION", name, wrong, message)
        array = pc.if_else(pa.array(wrong), pa.scalar(None, array.type), array)
    return array.cast(field.arrow, safe=False)


def _beyond_float32(numbers: npt.NDArray[np.float64]) -> Mask:
    """Which finite numbers would become infinite."""
    with np.errstate(over="ignore"):
        return np.isinf(numbers.astype(np.float32)) & np.isfinite(numbers)


def _string_list(array: pa.Array, field: Field, name: str, rejections: Rejections) -> pa.Array | None:
    if not pa.types.is_list(array.type):
        return _wrong_type(array, field, name, rejections)
    items = array.flatten()
    if pa.types.is_null(items.type) and not len(items):
        return array.cast(field.arrow)
    if not pa.types.is_string(items.type) or items.null_count or not _fits(items, field):
        return None
    return array


def _bytes(array: pa.Array, field: Field, name: str, rejections: Rejections) -> pa.Array | None:
    if pa.types.is_string(array.type):  # base64
        return None
    if not pa.types.is_large_binary(array.type):
        return _wrong_type(array, field, name, rejections)
    return array if (pc.max(pc.binary_length(array)).as_py() or 0) <= field.max_bytes else None


def _uuid(array: pa.Array, field: Field, name: str, rejections: Rejections) -> pa.Array | None:
    if not pa.types.is_string(array.type):
        return _wrong_type(array, field, name, rejections)
    rows, octets = octets_of(array)
    if len(rows) + array.null_count < len(array):
        return None
    whole = np.zeros((len(array), octets.shape[1]), dtype=np.uint8)
    whole[rows] = octets
    validity = array.is_valid().buffers()[1]
    return pa.Array.from_buffers(field.arrow, len(array), [validity, pa.py_buffer(whole)])


_BULK: Mapping[ValueType, Bulk] = {
    ValueType.BOOL: _bool,
    ValueType.INT64: _int64,
    ValueType.FLOAT64: _float64,
    ValueType.STRING: _text,
    ValueType.CATEGORY: _text,
    ValueType.TIMESTAMP: _timestamp,
    ValueType.VECTOR: _vector,
    ValueType.STRING_LIST: _string_list,
    ValueType.BYTES: _bytes,
}
