"""One column of a model: what it is to the model, and what its values are."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import TypeAlias

from headrace.errors import InvalidArgumentError
from headrace.schemas.tasks import ColumnRole
from headrace.v1 import model_pb2


class ValueType(enum.Enum):
    """Type of a column's values; every type has null."""

    BOOL = model_pb2.VALUE_TYPE_BOOL
    INT64 = model_pb2.VALUE_TYPE_INT64
    FLOAT64 = model_pb2.VALUE_TYPE_FLOAT64
    STRING = model_pb2.VALUE_TYPE_STRING
    CATEGORY = model_pb2.VALUE_TYPE_CATEGORY
    TIMESTAMP = model_pb2.VALUE_TYPE_TIMESTAMP
    VECTOR = model_pb2.VALUE_TYPE_VECTOR
    STRING_LIST = model_pb2.VALUE_TYPE_STRING_LIST
    JSON = model_pb2.VALUE_TYPE_JSON
    BYTES = model_pb2.VALUE_TYPE_BYTES


class ColumnKind(enum.Enum):
    """What a column is to its model."""

    FEATURE = model_pb2.COLUMN_KIND_FEATURE
    PREDICTION = model_pb2.COLUMN_KIND_PREDICTION
    LABEL = model_pb2.COLUMN_KIND_LABEL
    EXTRA = model_pb2.COLUMN_KIND_EXTRA


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a model."""

    name: str
    kind: ColumnKind
    type: ValueType
    dimension: int = 0
    """Numbers in each vector; vectors only."""
    description: str = ""
    role: ColumnRole | None = None
    """What it is to the model's task; None: nothing, or for the service to find."""


TypeLike: TypeAlias = ValueType | str
"""A type, as ValueType or as text: "float64", "category", "vector(384)"."""

_VECTOR = re.compile(r"VECTOR\((\d+)\)")


def column_of(name: str, kind: ColumnKind, given: TypeLike) -> Column:
    """Return the column of a type that was given by name.

    Raises:
        InvalidArgumentError: There is no such type.
    """
    text = given.name if isinstance(given, ValueType) else given.upper()
    vector = _VECTOR.fullmatch(text)
    if vector:
        return Column(name, kind, ValueType.VECTOR, int(vector[1]))
    plain = {t.name: t for t in ValueType if t is not ValueType.VECTOR}  # a vector has a dimension
    if text not in plain:
        raise InvalidArgumentError(f"{name}: no type {given!r}; there are {', '.join(plain).lower()}, vector(n)")
    return Column(name, kind, plain[text])
