"""The columns of a model, inferred from data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headrace.encoding.kinds import Kind, Shape, common_kind, kinds_of_column
from headrace.errors import InvalidArgumentError
from headrace.logged.rows import EVENT_NAMES
from headrace.schemas.column import Column, ColumnKind, ValueType
from headrace.sources.source import first_chunk

_TYPE_OF_SHAPE = {
    Shape.BOOL: ValueType.BOOL,
    Shape.INT64: ValueType.FLOAT64,  # the next row may bring a fraction
    Shape.FLOAT64: ValueType.FLOAT64,
    Shape.TEXT: ValueType.STRING,
    Shape.TIME: ValueType.TIMESTAMP,
    Shape.TEXT_LIST: ValueType.STRING_LIST,
    Shape.JSON: ValueType.JSON,
    Shape.BYTES: ValueType.BYTES,
}


def inferred_columns(
    source: object, features: Sequence[str] | None, named: Mapping[ColumnKind, Sequence[str]]
) -> list[Column]:
    """Return the columns that hold the rows of `source`.

    Args:
        source: As for Schema.infer.
        features: Names of the features; None: all that is neither named otherwise nor a system column.
        named: Names of the columns of each other kind.

    Raises:
        InvalidArgumentError: As Schema.infer.
    """
    inferred = first_chunk(source).types(_kind_type)
    taken = {name for names in named.values() for name in names}
    if features is None:
        features = [name for name in inferred if name not in taken and name not in EVENT_NAMES]
    kinds = {ColumnKind.FEATURE: features, **named}
    chosen = [(name, kind) for kind, names in kinds.items() for name in names]
    missing = [name for name, _ in chosen if name not in inferred]
    if missing:
        raise InvalidArgumentError(f"the source has no column {', '.join(map(repr, missing))}")
    faults = [f"{name}: {found}" for name, _ in chosen if isinstance(found := inferred[name], str)]
    if faults:
        raise InvalidArgumentError("cannot tell the type of " + "; ".join(faults))
    return [Column(name, kind, *inferred[name]) for name, kind in chosen]


def _kind_type(values: Sequence[object]) -> tuple[ValueType, int] | str:
    """Return type and dimension of a column of Python values, or what keeps it from being told."""
    kind: Kind | None = common_kind(kinds_of_column(set(map(type, values)), values))
    if kind is None:
        return "values of several types"
    if kind.shape is Shape.VECTOR:
        return ValueType.VECTOR, kind.dimension
    if kind.shape not in _TYPE_OF_SHAPE:
        return "no value tells it; name the type in a Schema"
    return _TYPE_OF_SHAPE[kind.shape], 0
