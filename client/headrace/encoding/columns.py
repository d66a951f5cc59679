"""Rows → one wire column at a time.

In comes a column as a sequence of Python values, out goes a `Column` message with its validity bitmap and packed
values. A column is written whole by C loops (`array`, `map`, `join`); only when that fails is it looked at value by
value, to name the rows at fault. Promise: a value is written as it is or named in UnencodableRows; none is bent.
"""

from __future__ import annotations

import decimal
import enum
import json
import struct
import uuid
from array import array
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeAlias, cast

from headrace.encoding import wire
from headrace.encoding.kinds import KIND_OF_TYPE, NULL, Kind, Shape, common_kind, kinds_of_column
from headrace.times import datetime_micros, unix_micros


class MixedColumn(Exception):  # noqa: N818 -- a finding, handled in table.py
    """Values of kinds that no one column holds."""

    def __init__(self, name: str) -> None:
        super().__init__(f"column {name} has values of several types")
        self.name = name


class UnencodableRows(Exception):  # noqa: N818 -- a finding, handled in table.py
    """Values that cannot be written, by row index."""

    def __init__(self, column: str, faults: dict[int, str]) -> None:
        super().__init__(f"column {column} has values that cannot be sent")
        self.column = column
        self.faults = faults


def add_column(columns: Any, name: str, values: Sequence[object]) -> None:
    """Write `values` as a column called `name`; one that is null everywhere is left out.

    Args:
        columns: Twin ColumnBatch.columns.
        name: Name on the wire.
        values: One value a row; None is null.

    Raises:
        MixedColumn: The values need several kinds of column.
        UnencodableRows: Some values cannot be written.
    """
    types = set(map(type, values))
    kinds = kinds_of_column(types, values)
    kind = common_kind(kinds)
    if kind is None:
        raise MixedColumn(name)
    if kind.shape is Shape.NULL:
        return
    column = columns.add()
    column.name = name
    has_nulls = NULL in kinds
    if has_nulls:
        if any(KIND_OF_TYPE[each] is NULL for each in types - {type(None)}):  # pandas' NaT and NA
            values = [None if _is_null(value) else value for value in values]
        column.validity = validity(values)
    write = _WRITERS[kind.shape]
    try:
        write(column, values, kind, has_nulls)
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        faults = _faults(write, column, values, kind)
        raise UnencodableRows(name, faults or {0: str(error)}) from error


def validity(values: Sequence[object]) -> bytes:
    """Return the bitmap of rows that have a value, least significant bit first."""
    bits = "".join(["0" if value is None else "1" for value in reversed(values)])
    return int(bits, 2).to_bytes((len(values) + 7) // 8, "little")


def add_micros_column(columns: Any, name: str, micros: Sequence[int]) -> None:
    """Write a column of times that are microseconds already."""
    column = columns.add()
    column.name = name
    column.timestamps.unix_micros = wire.little_endian(array("q", micros))


def _is_null(value: object) -> bool:
    return value is None or type(value).__name__ in {"NaTType", "NAType"}


def _faults(write: _Writer, column: Any, values: Sequence[object], kind: Kind) -> dict[int, str]:
    """Return row index → what is wrong, found by writing each value alone."""
    faults = {}
    for index, value in enumerate(values):
        if not _is_null(value):
            try:
                write(column, [value], kind, False)
            except (TypeError, ValueError, OverflowError, AttributeError) as error:
                faults[index] = f"{type(value).__name__}: {error}"
    return faults


def _filled(values: Sequence[object], filler: object, has_nulls: bool) -> Sequence[Any]:
    """Return `values` with `filler` where a row has none; such cells are present and ignored."""
    return [filler if value is None else value for value in values] if has_nulls else values


def _bools(column: Any, values: Sequence[object], _kind: Kind, has_nulls: bool) -> None:
    column.bools.values = bytes(map(bool, _filled(values, False, has_nulls)))


def _int64s(column: Any, values: Sequence[object], _kind: Kind, has_nulls: bool) -> None:
    column.int64s.values = wire.little_endian(array("q", _filled(values, 0, has_nulls)))


def _float64s(column: Any, values: Sequence[object], _kind: Kind, has_nulls: bool) -> None:
    numbers = _filled(values, 0.0, has_nulls)
    try:
        column.float64s.values = struct.pack(f"<{len(numbers)}d", *numbers)  # half the time of an array of them
    except struct.error:  # no number: array says which type it is
        column.float64s.values = wire.little_endian(array("d", numbers))


def _texts(column: Any, values: Sequence[object], _kind: Kind, has_nulls: bool) -> None:
    _put_texts(column.strings, _filled(values, "", has_nulls))


def _put_texts(strings: Any, values: Sequence[Any]) -> None:
    """Write texts as lengths and one run of bytes; pure ASCII, the usual case, needs no encoding one by one."""
    try:
        data = "".join(values)
    except TypeError:  # UUIDs, enums
        values = list(map(_text, values))
        data = "".join(values)
    strings.data = data.encode()
    if len(strings.data) == len(data):
        strings.lengths = wire.packed_varints(list(map(len, values)))
    else:
        strings.lengths = wire.packed_varints([len(value.encode()) for value in values])


def _text(value: object) -> str:
    """Return a text, or what stands for one."""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, str):
        return value
    if isinstance(value, uuid.UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not a text")


def _times(column: Any, values: Sequence[object], _kind: Kind, has_nulls: bool) -> None:
    micros = [
        datetime_micros(value) if type(value) is datetime else 0 if value is None else unix_micros(value)
        for value in values
    ]
    column.timestamps.unix_micros = wire.little_endian(array("q", micros))


def _vectors(column: Any, values: Sequence[object], kind: Kind, has_nulls: bool) -> None:
    blank = array("f", bytes(4 * kind.dimension))
    numbers = array("f")
    for value in values:
        numbers.extend(blank if value is None else array("f", cast(Iterable[float], value)))
    column.vectors.dimension = kind.dimension
    column.vectors.values = wire.little_endian(numbers)


def _text_lists(column: Any, values: Sequence[object], _kind: Kind, has_nulls: bool) -> None:
    lists: Sequence[Sequence[str]] = _filled(values, (), has_nulls)
    column.string_lists.lengths = wire.packed_varints(list(map(len, lists)))
    _put_texts(column.string_lists.items, [text for texts in lists for text in texts])


def _blobs(column: Any, values: Sequence[object], _kind: Kind, has_nulls: bool) -> None:
    blobs = list(map(bytes, _filled(values, b"", has_nulls)))
    column.blobs.lengths = wire.packed_varints(list(map(len, blobs)))
    column.blobs.data = b"".join(blobs)


def _json(column: Any, values: Sequence[object], _kind: Kind, has_nulls: bool) -> None:
    _put_texts(column.json, ["" if value is None else json_text(value) for value in values])


def json_text(value: object) -> str:
    """Return `value` as a JSON document; times become RFC 3339 text, numpy values plain ones.

    Raises:
        ValueError: It holds NaN or an infinity, which are not JSON.
        TypeError: It holds something JSON has no form for.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)


def _plain(value: object) -> object:
    """Return a JSON-able form of a value the json module does not know."""
    if isinstance(value, decimal.Decimal):
        return float(value)
    for method in ("document", "isoformat", "tolist"):
        convert = getattr(value, method, None)
        if callable(convert):
            return convert()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _unknown(_column: Any, values: Sequence[object], _kind: Kind, _has_nulls: bool) -> None:
    raise TypeError(f"{type(next(v for v in values if v is not None)).__name__} has no wire form")


_Writer: TypeAlias = Callable[[Any, Sequence[object], Kind, bool], None]

_WRITERS: dict[Shape, _Writer] = {
    Shape.BOOL: _bools,
    Shape.INT64: _int64s,
    Shape.FLOAT64: _float64s,
    Shape.TEXT: _texts,
    Shape.TIME: _times,
    Shape.VECTOR: _vectors,
    Shape.TEXT_LIST: _text_lists,
    Shape.EMPTY_LIST: _text_lists,
    Shape.JSON: _json,
    Shape.BYTES: _blobs,
    Shape.UNKNOWN: _unknown,
}
