"""Schemas: the columns of a model, said by hand or inferred from data, to the registry's protos and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from headrace.errors import InvalidArgumentError
from headrace.schemas.column import Column, ColumnKind, TypeLike, ValueType, column_of
from headrace.schemas.tasks import Candidate, ColumnRole, RoleLike, TaskLike, TaskType, inferred_roles, member
from headrace.schemas.text import describe
from headrace.v1 import model_pb2


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
        columns = [column_of(name, kind, given) for kind, group in groups for name, given in (group or {}).items()]
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
        from headrace.schemas.inference import inferred_columns  # noqa: PLC0415 -- a model server infers nothing

        columns = inferred_columns(
            source,
            features,
            {
                ColumnKind.PREDICTION: _names(predictions),
                ColumnKind.LABEL: _names(labels),
                ColumnKind.EXTRA: _names(extras),
            },
        )
        return cls.of(
            columns,
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


def _check_names(columns: Sequence[Column]) -> None:
    names = [column.name for column in columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidArgumentError(f"columns stand twice: {', '.join(twice)}")


def _names(given: Sequence[str] | str | None) -> Sequence[str]:
    return [given] if isinstance(given, str) else given or ()
