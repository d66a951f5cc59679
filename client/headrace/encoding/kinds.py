"""Python values → the kind of wire column that holds them.

A column of a batch has one kind. It is decided by the types of the values that are there, nothing else: bool, int,
float (also where ints and floats mix), text, time, vector, list of texts, JSON, bytes. Values of two kinds in one
column are for the caller to part (see columns.py): no row goes down with another.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import numbers
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Shape(enum.Enum):
    """What kind of wire column."""

    NULL = "null"
    BOOL = "bool"
    INT64 = "int64"
    FLOAT64 = "float64"
    TEXT = "text"
    TIME = "time"
    VECTOR = "vector"
    TEXT_LIST = "text list"
    EMPTY_LIST = "empty list"
    JSON = "json"
    BYTES = "bytes"
    LIST = "list"
    """A list whose items decide: see `kind_of_list`."""
    UNKNOWN = "unknown"


class Kind(NamedTuple):
    """A shape, with the dimension where it is a vector."""

    shape: Shape
    dimension: int = 0


NULL = Kind(Shape.NULL)
_LIST = Kind(Shape.LIST)


class _KindsByType(dict[type, Kind]):
    """Kind of each Python type; types met for the first time are looked at once."""

    def __missing__(self, kind: type) -> Kind:
        found = _kind_of_new_type(kind)
        if len(self) < 1_000:
            self[kind] = found
        return found


def _kind_of_new_type(kind: type) -> Kind:  # noqa: PLR0911 -- a table in words
    module = kind.__module__.partition(".")[0]
    name = kind.__name__
    if name in {"NaTType", "NAType"} and module == "pandas":
        return NULL
    if name in {"bool", "bool_"} and module == "numpy":
        return Kind(Shape.BOOL)
    if name in {"ndarray", "Series"} or issubclass(kind, list | tuple):
        return _LIST
    if issubclass(kind, str | uuid.UUID):
        return Kind(Shape.TEXT)
    if issubclass(kind, bytes | bytearray | memoryview):
        return Kind(Shape.BYTES)
    if issubclass(kind, datetime.date) or name == "datetime64":  # datetime and pandas.Timestamp are dates, too
        return Kind(Shape.TIME)
    if issubclass(kind, enum.Enum):
        return Kind(Shape.TEXT)
    if issubclass(kind, numbers.Integral):
        return Kind(Shape.INT64)
    if issubclass(kind, numbers.Real | decimal.Decimal):
        return Kind(Shape.FLOAT64)
    if issubclass(kind, Mapping) or hasattr(
        kind, "document"
    ):  # the classes of vision.py, which is imported by its users
        return Kind(Shape.JSON)
    return Kind(Shape.UNKNOWN)


KIND_OF_TYPE = _KindsByType(
    {
        type(None): NULL,
        bool: Kind(Shape.BOOL),
        int: Kind(Shape.INT64),
        float: Kind(Shape.FLOAT64),
        str: Kind(Shape.TEXT),
        datetime.datetime: Kind(Shape.TIME),
        list: _LIST,
        tuple: _LIST,
        dict: Kind(Shape.JSON),
    }
)
"""Kind of a value by its type."""


def kind_of_list(items: Sequence[object]) -> Kind:
    """Return the kind of one list (or tuple, or numpy array): by its first item."""
    count = len(items)
    if count == 0:
        return Kind(Shape.EMPTY_LIST)
    first = KIND_OF_TYPE[type(items[0])].shape
    if first is Shape.TEXT:
        return Kind(Shape.TEXT_LIST)
    if first in {Shape.FLOAT64, Shape.INT64}:
        return Kind(Shape.VECTOR, count)
    return Kind(Shape.JSON)


def kind_of(value: object) -> Kind:
    """Return the kind of one value."""
    kind = KIND_OF_TYPE[type(value)]
    return kind_of_list(value) if kind is _LIST else kind  # type: ignore[arg-type]  # _LIST is given to lists only


def kinds_of_column(types: Iterable[type], values: Sequence[object]) -> set[Kind]:
    """Return the kinds that are in a column, NULL among them.

    Args:
        types: The types of its values, each once.
        values: Its values; looked at only where they are lists.
    """
    kinds = {KIND_OF_TYPE[kind] for kind in types}
    if _LIST in kinds:
        return set(map(kind_of, values))
    return kinds


def common_kind(kinds: Iterable[Kind]) -> Kind | None:
    """Return the one kind that holds all of `kinds`, or None when there is none."""
    found = set(kinds) - {NULL}
    if len(found) <= 1:
        return found.pop() if found else NULL
    shapes = {kind.shape for kind in found}
    if shapes == {Shape.INT64, Shape.FLOAT64}:
        return Kind(Shape.FLOAT64)
    if shapes == {Shape.TEXT_LIST, Shape.EMPTY_LIST}:
        return Kind(Shape.TEXT_LIST)
    if shapes <= {Shape.JSON, Shape.EMPTY_LIST}:
        return Kind(Shape.JSON)
    return None
