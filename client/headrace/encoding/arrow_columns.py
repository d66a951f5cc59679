"""Arrow arrays → wire columns, from memory to memory.

`add_array` writes an array of any type that has a wire form: booleans, numbers, texts, dictionaries of texts, times,
lists of numbers of one length (vectors), lists of texts, bytes. It says False of any other, which the caller then
writes as Python values.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.encoding import wire
from headrace.schemas.column import ValueType

# pyarrow has no types, so its arrays and types are Any throughout.

_PACKED = {
    ValueType.BOOL: ("bools", pa.uint8(), "u1"),
    ValueType.INT64: ("int64s", pa.int64(), "<i8"),
    ValueType.FLOAT64: ("float64s", pa.float64(), "<f8"),
}
"""Form on the wire, Arrow type and numpy type of each kind of number."""


def add_array(columns: Any, name: str, array: Any) -> bool:
    """Write `array` as a column called `name`; one that is null everywhere is left out.

    Args:
        columns: Twin ColumnBatch.columns.
        name: Name on the wire.
        array: A pyarrow.Array.

    Returns:
        False when the array has no wire form (nothing is written then).
    """
    if array.null_count == len(array):
        return True
    found = value_type(array)
    if found is None:
        return False
    kind, dimension = found
    if kind is ValueType.CATEGORY and array.dictionary.null_count:  # a null that is a word of the dictionary
        array = array.dictionary_decode().dictionary_encode()
    column = columns.add()
    column.name = name
    if array.null_count:
        column.validity = pc.is_valid(array).buffers()[1].to_pybytes()[: (len(array) + 7) // 8]
    if kind is ValueType.VECTOR:
        column.vectors.dimension = dimension
        column.vectors.values = _vectors(array, dimension)
    elif kind is ValueType.CATEGORY:
        column.categories.indices = _varints(_numbers(array.indices, pa.int64(), "<i8"))
        _put_texts(column.categories.dictionary, array.dictionary)
    elif kind is ValueType.STRING_LIST:
        lengths = pc.fill_null(pc.list_value_length(array), 0)
        column.string_lists.lengths = _varints(_numbers(lengths, pa.int64(), "<i8"))
        _put_texts(column.string_lists.items, array.flatten())
    elif kind is ValueType.STRING:
        _put_texts(column.strings, array)
    elif kind is ValueType.BYTES:
        _put_runs(column.blobs, array.cast(pa.large_binary()), b"")
    elif kind in _PACKED:
        form, arrow_type, dtype = _PACKED[kind]
        getattr(column, form).values = _numbers(array, arrow_type, dtype).tobytes()
    else:
        micros = array.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        column.timestamps.unix_micros = _numbers(micros, pa.int64(), "<i8").tobytes()
    return True


def value_type(array: Any) -> tuple[ValueType, int] | None:
    """Return type and dimension of the column that holds an array, or None when it has no wire form."""
    kind, types = array.type, pa.types
    if types.is_dictionary(kind):
        return (ValueType.CATEGORY, 0) if is_text(kind.value_type) else None
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _list_type(array)
    tests = (
        (types.is_boolean, ValueType.BOOL),
        (lambda t: types.is_integer(t) and not types.is_uint64(t), ValueType.INT64),
        (lambda t: types.is_floating(t) or types.is_decimal(t), ValueType.FLOAT64),
        (is_text, ValueType.STRING),
        (_is_bytes, ValueType.BYTES),
        (lambda t: types.is_timestamp(t) or types.is_date(t), ValueType.TIMESTAMP),
    )
    return next(((found, 0) for test, found in tests if test(kind)), None)


def as_texts(array: Any) -> Any:
    """Return ids as texts; a pandas float column that holds whole numbers is not one: 7.0 stays "7.0"."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array.cast(pa.string())


def as_times(array: Any) -> Any:
    """Return times as timestamps: numbers are Unix seconds, texts RFC 3339; what cannot be read stays as it is."""
    kind = array.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        micros = pc.round(pc.multiply(array.cast(pa.float64()), 1e6)) if pa.types.is_floating(kind) else None
        if micros is None:
            micros = pc.multiply(array.cast(pa.int64()), 1_000_000)
        return micros.cast(pa.int64()).cast(pa.timestamp("us"))
    if is_text(kind):
        for zone in ("UTC", None):  # texts with a zone, then without
            with suppress(pa.ArrowInvalid):
                return array.cast(pa.string()).cast(pa.timestamp("us", zone))
    return array


def without_views(batch: Any) -> Any:
    """Return a batch whose texts and bytes are not views, which Arrow cannot take rows of."""
    views = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}
    for index, kind in enumerate(batch.schema.types):
        if kind in views:
            batch = batch.set_column(index, batch.schema.names[index], batch.column(index).cast(views[kind]))
    return batch


def is_text(kind: Any) -> bool:
    """Return whether an Arrow type is one of texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_bytes(kind: Any) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _list_type(array: Any) -> tuple[ValueType, int] | None:
    """Return the type of a column of lists: texts, or numbers of which all rows have as many."""
    item = array.type.value_type
    if is_text(item):
        return (ValueType.STRING_LIST, 0) if array.flatten().null_count == 0 else None
    if not (pa.types.is_floating(item) or pa.types.is_integer(item)) or array.flatten().null_count:
        return None
    lengths = pc.unique(pc.list_value_length(array).drop_null()).to_pylist()
    return (ValueType.VECTOR, lengths[0]) if len(lengths) == 1 and lengths[0] else None


def _numbers(array: Any, kind: Any, dtype: str) -> np.ndarray[Any, np.dtype[Any]]:
    """Return a numeric array as numpy, in the wire's byte order, with 0 for nulls."""
    numbers = array.cast(kind)
    if numbers.null_count:
        numbers = numbers.fill_null(0)
    plain: np.ndarray[Any, np.dtype[Any]] = numbers.to_numpy(zero_copy_only=False)
    return plain.astype(dtype, copy=False)


def _vectors(array: Any, dimension: int) -> bytes:
    """Return vectors end to end; a null one is zeros."""
    numbers = array.drop_null().flatten()
    flat = _numbers(numbers, pa.float32(), "<f4").reshape(-1, dimension)
    if array.null_count == 0:
        return flat.tobytes()
    filled = np.zeros((len(array), dimension), dtype="<f4")
    filled[pc.is_valid(array).to_numpy(zero_copy_only=False)] = flat
    return filled.tobytes()


def _put_texts(strings: Any, array: Any) -> None:
    """Write texts as lengths and one run of bytes, straight from Arrow's memory."""
    _put_runs(strings, array.cast(pa.large_string()), "")


def _put_runs(message: Any, runs: Any, nothing: object) -> None:
    """Write large texts or bytes as lengths and one run of bytes; `nothing` stands for nulls."""
    if runs.null_count:
        runs = runs.fill_null(nothing)
    _, offsets_buffer, data = runs.buffers()
    offsets = np.frombuffer(offsets_buffer, dtype=np.int64)[runs.offset : runs.offset + len(runs) + 1]
    message.lengths = _varints(np.diff(offsets))
    if len(offsets) and offsets[-1] > offsets[0]:
        message.data = memoryview(data)[int(offsets[0]) : int(offsets[-1])].tobytes()


def _varints(numbers: np.ndarray[Any, np.dtype[Any]]) -> bytes:
    """Return numbers as a packed varint field."""
    if len(numbers) == 0 or numbers.max() < 0x80:
        return numbers.astype(np.uint8).tobytes()
    return wire.packed_varints(numbers.tolist())
