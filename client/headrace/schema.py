"""Schemas: the columns of a model, said by hand or inferred from data, to the registry's protos and back."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeAlias, TypeVar

from headrace.errors import InvalidArgumentError
from headrace.kinds import Kind, Shape, common_kind, kinds_of_column
from headrace.rows import EVENT_NAMES
from headrace.schema_text import describe
from headrace.tasks import Candidate, ColumnRole, TaskType, inferred_roles
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


class Identity(enum.Enum):
    """How repeated events are recognised."""

    UNIQUE = model_pb2.IDENTITY_UNIQUE
    """By (event_id, event_time)."""
    APPEND = model_pb2.IDENTITY_APPEND
    """Only batches sent again are; the fastest."""


class EventIdType(enum.Enum):
    """Type of event_id in the database."""

    TEXT = model_pb2.EVENT_ID_TYPE_TEXT
    UUID = model_pb2.EVENT_ID_TYPE_UUID


class UnknownColumns(enum.Enum):
    """What the service does with a column that is not registered."""

    REJECT = model_pb2.UNKNOWN_COLUMNS_REJECT
    METADATA = model_pb2.UNKNOWN_COLUMNS_METADATA
    ADD = model_pb2.UNKNOWN_COLUMNS_ADD


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
TaskLike: TypeAlias = TaskType | str
"""A task, as TaskType or as text: "binary_classification"."""
RoleLike: TypeAlias = ColumnRole | str
"""A role, as ColumnRole or as text: "score"."""

Choice = TypeVar("Choice", TaskType, ColumnRole)

_VECTOR = re.compile(r"VECTOR\((\d+)\)")


@dataclass(frozen=True, slots=True, init=False)
class Schema:
    """The columns of a model, beside the system ones, and what the model is for. `print(schema)` shows it.

    Args:
        features: Name → type of each input.
        predictions: Name → type of each output.
        labels: Name → type of each truth.
        extras: Name → type of what else is stored with an event.
        task: What the model is for, e.g. "binary_classification"; says which roles its columns must have. Default:
            none.
        roles: Name → role of a column, e.g. {"p": "score"}. Roles that only one column can have are found without.
        classes: The classes the model tells apart, in its own order; others are then refused. Default: any.
        positive_class: Of a binary classification. Default: the second of two classes.
        threshold: Scores from here on count as the positive class.

    Raises:
        InvalidArgumentError: A type, task or role is unknown, a name stands twice, or a role is given to no column.
    """

    columns: tuple[Column, ...]
    task: TaskType | None
    classes: tuple[str, ...]
    positive_class: str
    threshold: float

    def __init__(
        self,
        features: Mapping[str, TypeLike] | None = None,
        predictions: Mapping[str, TypeLike] | None = None,
        labels: Mapping[str, TypeLike] | None = None,
        extras: Mapping[str, TypeLike] | None = None,
        *,
        task: TaskLike | None = None,
        roles: Mapping[str, RoleLike] | None = None,
        classes: Sequence[str] = (),
        positive_class: str = "",
        threshold: float = 0.5,
    ) -> None:
        groups = (
            (ColumnKind.FEATURE, features),
            (ColumnKind.PREDICTION, predictions),
            (ColumnKind.LABEL, labels),
            (ColumnKind.EXTRA, extras),
        )
        columns = [_column(name, kind, given) for kind, group in groups for name, given in (group or {}).items()]
        purpose = None if task is None else member(TaskType, task, "task")
        object.__setattr__(self, "columns", _with_roles(columns, purpose, roles or {}))
        object.__setattr__(self, "task", purpose)
        object.__setattr__(self, "classes", tuple(classes))
        object.__setattr__(self, "positive_class", positive_class)
        object.__setattr__(self, "threshold", threshold)
        _check_names(self.columns)

    def __str__(self) -> str:
        return describe(self)

    @classmethod
    def of(
        cls,
        columns: Iterable[Column],
        *,
        task: TaskLike | None = None,
        roles: Mapping[str, RoleLike] | None = None,
        classes: Sequence[str] = (),
        positive_class: str = "",
        threshold: float = 0.5,
    ) -> Schema:
        """Return the schema of these columns; arguments and errors as of Schema."""
        schema = cls(task=task, classes=classes, positive_class=positive_class, threshold=threshold)
        object.__setattr__(schema, "columns", _with_roles(tuple(columns), schema.task, roles or {}))
        _check_names(schema.columns)
        return schema

    @classmethod
    def infer(
        cls,
        source: object,
        *,
        features: Sequence[str] | None = None,
        predictions: Sequence[str] | str | None = None,
        labels: Sequence[str] | str | None = None,
        extras: Sequence[str] | None = None,
        task: TaskLike | None = None,
        roles: Mapping[str, RoleLike] | None = None,
        classes: Sequence[str] = (),
        positive_class: str = "",
        threshold: float = 0.5,
    ) -> Schema:
        """Return the schema that holds the rows of `source`; print it to see what was guessed.

        Types come from the data: of typed sources (DataFrame, Arrow) as they are declared, of dicts by their values,
        where numbers are float64, since the next row may bring a fraction.

        Args:
            source: As for Model.publish; up to 10,000 rows are looked at.
            features: Columns that are features. Default: every column that is nothing else, but event_id, event_time
                and the other system columns.
            predictions: Columns that are predictions.
            labels: Columns that are labels.
            extras: Columns to store beside, that are no inputs.
            task: What the model is for; roles that only one column can have are guessed by it.
            roles: Name → role, where the guess needs help.
            classes: The classes the model tells apart. Default: any.
            positive_class: Of a binary classification. Default: the second of two classes.
            threshold: Scores from here on count as the positive class.

        Raises:
            InvalidArgumentError: A named column is not there, a column has no value to tell its type or values of
                several types, or a task or role is unknown.
        """
        from headrace.sources import first_chunk  # noqa: PLC0415 -- a model server infers nothing

        inferred = first_chunk(source).types(_kind_type)
        named = {
            ColumnKind.PREDICTION: _names(predictions),
            ColumnKind.LABEL: _names(labels),
            ColumnKind.EXTRA: _names(extras),
        }
        taken = {name for names in named.values() for name in names}
        if features is None:
            features = [name for name in inferred if name not in taken and name not in EVENT_NAMES]
        chosen = [(name, kind) for kind, names in ({ColumnKind.FEATURE: features} | named).items() for name in names]
        missing = [name for name, _ in chosen if name not in inferred]
        if missing:
            raise InvalidArgumentError(f"the source has no column {', '.join(map(repr, missing))}")
        faults = [f"{name}: {found}" for name, _ in chosen if isinstance(found := inferred[name], str)]
        if faults:
            raise InvalidArgumentError("cannot tell the type of " + "; ".join(faults))
        return cls.of(
            (Column(name, kind, *inferred[name]) for name, kind in chosen),
            task=task,
            roles=roles,
            classes=classes,
            positive_class=positive_class,
            threshold=threshold,
        )

    def names(self, kind: ColumnKind) -> list[str]:
        """Return the names of the columns of one kind."""
        return [column.name for column in self.columns if column.kind is kind]

    def to_proto(self) -> model_pb2.Model:
        """Return what the registry wants to know of a model's schema."""
        return model_pb2.Model(
            columns=[
                model_pb2.ModelColumn(
                    name=column.name,
                    kind=column.kind.value,
                    type=column.type.value,
                    dimension=column.dimension,
                    description=column.description,
                    role=column.role.value if column.role else model_pb2.COLUMN_ROLE_UNSPECIFIED,
                )
                for column in self.columns
            ],
            task=self.task.value if self.task else model_pb2.TASK_TYPE_UNSPECIFIED,
            classes=self.classes,
            positive_class=self.positive_class,
            threshold=self.threshold,
        )

    @classmethod
    def from_proto(cls, model: model_pb2.Model) -> Schema:
        """Return the schema of a registered model."""
        return cls.of(
            [
                Column(
                    c.name,
                    ColumnKind(c.kind),
                    ValueType(c.type),
                    c.dimension,
                    c.description,
                    ColumnRole(c.role) if c.role else None,
                )
                for c in model.columns
            ],
            task=TaskType(model.task) if model.task else None,
            classes=model.classes,
            positive_class=model.positive_class,
            threshold=model.threshold if model.HasField("threshold") else 0.5,
        )


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model as the registry knows it."""

    project: str
    name: str
    schema: Schema
    identity: Identity
    event_id_type: EventIdType
    unknown_columns: UnknownColumns
    versions: tuple[str, ...]
    revision: int
    events_table: str
    labels_table: str
    """Empty when the model has no labels."""
    joined_view: str
    """Events with their latest labels; empty when the model has no labels."""
    create_time: datetime
    update_time: datetime
    sampling_rate: float = 1.0
    """Share of its events that is kept."""
    retention: timedelta | None = None
    """Age from which events are dropped with all that belongs to them; None: never."""
    baseline_dataset: str = ""
    """Dataset that the model's drift is measured against; empty: none."""

    @classmethod
    def from_proto(cls, model: model_pb2.Model) -> ModelInfo:
        """Return what a registry call answered."""
        return cls(
            project=model.project,
            name=model.name,
            schema=Schema.from_proto(model),
            identity=Identity(model.identity or model_pb2.IDENTITY_UNIQUE),
            event_id_type=EventIdType(model.event_id_type or model_pb2.EVENT_ID_TYPE_TEXT),
            unknown_columns=UnknownColumns(model.unknown_columns or model_pb2.UNKNOWN_COLUMNS_REJECT),
            versions=tuple(model.versions),
            revision=model.revision,
            events_table=model.events_table,
            labels_table=model.labels_table,
            joined_view=model.joined_view,
            create_time=model.create_time.ToDatetime(UTC),
            update_time=model.update_time.ToDatetime(UTC),
            sampling_rate=model.sampling_rate or 1.0,
            retention=model.retention.ToTimedelta() if model.HasField("retention") else None,
            baseline_dataset=model.baseline_dataset,
        )


def _column(name: str, kind: ColumnKind, given: TypeLike) -> Column:
    text = given.name if isinstance(given, ValueType) else given.upper()
    vector = _VECTOR.fullmatch(text)
    if vector:
        return Column(name, kind, ValueType.VECTOR, int(vector[1]))
    plain = {t.name: t for t in ValueType if t is not ValueType.VECTOR}  # a vector has a dimension
    if text not in plain:
        raise InvalidArgumentError(f"{name}: no type {given!r}; there are {', '.join(plain).lower()}, vector(n)")
    return Column(name, kind, plain[text])


def _with_roles(columns: Sequence[Column], task: TaskType | None, roles: Mapping[str, RoleLike]) -> tuple[Column, ...]:
    """Return the columns with the roles they are given, and with those that only one of them can have."""
    strangers = sorted(set(roles) - {column.name for column in columns})
    if strangers:
        raise InvalidArgumentError(f"roles are given to columns that are not there: {', '.join(strangers)}")
    said = [
        replace(column, role=member(ColumnRole, roles[column.name], "role")) if column.name in roles else column
        for column in columns
    ]
    if task is None:
        return tuple(said)
    found = inferred_roles(task, [Candidate(c.name, c.kind.name, c.type.name, c.role) for c in said])
    return tuple(replace(column, role=role) for column, role in zip(said, found, strict=True))


def member(choices: type[Choice], given: Choice | str, what: str) -> Choice:
    """Return the member that is given, by itself or by its name in any case.

    Raises:
        InvalidArgumentError: There is none of this name.
    """
    if isinstance(given, choices):
        return given
    named = choices.__members__.get(str(given).upper())
    if named is None:
        raise InvalidArgumentError(f"no {what} {given!r}; there are {', '.join(choices.__members__).lower()}")
    return named


def _check_names(columns: Sequence[Column]) -> None:
    names = [column.name for column in columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidArgumentError(f"columns stand twice: {', '.join(twice)}")


def _names(given: Sequence[str] | str | None) -> Sequence[str]:
    return [given] if isinstance(given, str) else given or ()


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
