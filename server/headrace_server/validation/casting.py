"""From a column as it was sent to the column's own type, with the cells that do not fit told apart.

In bulk wherever Arrow has the whole column in one type; cell by cell (casting_cells.py) only for columns of mixed
Python values and for columns where the bulk cast met a cell it could not take.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace_server.decoding.decoded import Cells
from headrace_server.models.column_types import TIMESTAMP, ValueType
from headrace_server.validation.casting_cells import cast_cells
from headrace_server.validation.rejections import Rejections
from headrace_server.validation.row_schema import Field, Mask

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
    values = cells.values
    if isinstance(values, pa.Array):
        if pa.types.is_null(values.type):
            return pa.nulls(len(values), field.arrow)
        if field.is_uuid or (field.type is ValueType.JSON and not cells.is_json):
            return cast_cells(cells.python_values(), field, name, rejections)
        bulk = _BULK.get(field.type)
        cast_array = bulk(values, field, name, rejections) if bulk is not None else None
        if cast_array is not None:
            return cast_array
    return cast_cells(cells.python_values(), field, name, rejections)


def as_mask(condition: pa.Array) -> Mask:
    """A boolean array as a numpy mask, null as false."""
    mask: Mask = pc.fill_null(condition, fill_value=False).to_numpy(zero_copy_only=False)
    return mask


def _wrong_type(array: pa.Array, field: Field, name: str, rejections: Rejections) -> pa.Array:
    rejections.add(
        "WRONG_TYPE", name, as_mask(array.is_valid()), f"{name} is {field.type.name}, the batch sends {array.type}"
    )
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
        out_of_range = np.abs(numbers) >= _INT64_BOUND
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
    if pa.types.is_binary(array.type):
        return None  # some text is not UTF-8: cell by cell
    if not pa.types.is_string(array.type):
        return _wrong_type(array, field, name, rejections)
    return array if _fits(array, field) else None


def _fits(texts: pa.Array, field: Field) -> bool:
    """Whether no text is too long and none holds NUL; two passes over memory and no row touched."""
    longest = pc.max(pc.binary_length(texts)).as_py()
    return (longest is None or longest <= field.max_bytes) and not _holds_nul(texts)


def _holds_nul(texts: pa.Array) -> bool:
    if texts.offset or len(texts) == 0:
        return bool(pc.any(pc.match_substring(texts, "\0")).as_py())
    data = texts.buffers()[2]
    return data is not None and b"\0" in memoryview(data).tobytes()


def _timestamp(array: pa.Array, field: Field, name: str, rejections: Rejections) -> pa.Array | None:
    if array.type == TIMESTAMP:
        return array
    if pa.types.is_int64(array.type) or pa.types.is_float64(array.type) or pa.types.is_string(array.type):
        return _parsed_times(array)
    return _wrong_type(array, field, name, rejections)


def _parsed_times(array: pa.Array) -> pa.Array | None:
    """Unix seconds or RFC 3339 texts in bulk; None when some cell needs a look of its own."""
    try:
        if pa.types.is_string(array.type):
            return array.cast(TIMESTAMP)
        micros = pc.multiply_checked(array, 1_000_000)
        return pc.round(micros).cast(pa.int64()).cast(pa.timestamp("us")).cast(TIMESTAMP)
    except pa.ArrowInvalid:
        return None


def _vector(array: pa.Array, field: Field, name: str, rejections: Rejections) -> pa.Array | None:
    if not pa.types.is_list(array.type) or pa.types.is_string(array.type.value_type):
        return _wrong_type(array, field, name, rejections)
    if array.flatten().null_count:
        return None
    lengths = array.value_lengths()
    wrong = as_mask(pc.not_equal(lengths, field.dimension))
    if wrong.any():
        found = lengths[int(wrong.argmax())].as_py()
        message = f"{name} has dimension {field.dimension}; the vector has {found} numbers"
        rejections.add("VECTOR_DIMENSION", name, wrong, message)
        array = pc.if_else(pa.array(wrong), pa.scalar(None, array.type), array)
    return array.cast(field.arrow, safe=False)


def _string_list(array: pa.Array, field: Field, name: str, rejections: Rejections) -> pa.Array | None:
    if not pa.types.is_list(array.type):
        return _wrong_type(array, field, name, rejections)
    items = array.flatten()
    if pa.types.is_null(items.type):
        return array.cast(field.arrow)
    if not pa.types.is_string(items.type) or items.null_count or not _fits(items, field):
        return None
    return array


_BULK: Mapping[ValueType, Callable[[pa.Array, Field, str, Rejections], pa.Array | None]] = {
    ValueType.BOOL: _bool,
    ValueType.INT64: _int64,
    ValueType.FLOAT64: _float64,
    ValueType.STRING: _text,
    ValueType.CATEGORY: _text,
    ValueType.TIMESTAMP: _timestamp,
    ValueType.VECTOR: _vector,
    ValueType.STRING_LIST: _string_list,
}
