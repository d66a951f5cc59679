"""A model as the service holds it in memory: immutable, replaced whole when the registry changes.

Comes from the registry (models/registry.py); goes to validation (which columns may a row have), to the record kinds
(which table do rows land in) and to clients (ModelUpdated). Nothing else of the service knows what a column is called.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import cached_property

from headrace.schemas.tasks import ColumnRole, TaskType, roles_of
from headrace.v1 import model_pb2
from headrace_server.models.column_types import ValueType
from headrace_server.models.sampling import SamplingRate


class ColumnKind(Enum):
    """What a column is to its model."""

    FEATURE = model_pb2.COLUMN_KIND_FEATURE
    PREDICTION = model_pb2.COLUMN_KIND_PREDICTION
    LABEL = model_pb2.COLUMN_KIND_LABEL
    EXTRA = model_pb2.COLUMN_KIND_EXTRA


class Identity(Enum):
    """How repeated events are recognised."""

    UNIQUE = model_pb2.IDENTITY_UNIQUE
    APPEND = model_pb2.IDENTITY_APPEND


class EventIdType(Enum):
    """Type of event_id."""

    TEXT = model_pb2.EVENT_ID_TYPE_TEXT
    UUID = model_pb2.EVENT_ID_TYPE_UUID


class UnknownColumns(Enum):
    """What happens to a column no version has registered."""

    REJECT = model_pb2.UNKNOWN_COLUMNS_REJECT
    METADATA = model_pb2.UNKNOWN_COLUMNS_METADATA
    ADD = model_pb2.UNKNOWN_COLUMNS_ADD


@dataclass(frozen=True)
class ModelColumn:
    """One column of a model.

    Attributes:
        name: As the user wrote it.
        sql_name: Folded; the column's name in the table.
        dimension: Numbers in each vector; 0 for other types.
        role: What it is to the model's task; None for nothing.
    """

    name: str
    sql_name: str
    kind: ColumnKind
    type: ValueType
    dimension: int = 0
    description: str = ""
    role: ColumnRole | None = None


@dataclass(frozen=True)
class ModelSchema:
    """A registered model: its columns over all versions, its identity, its limits.

    Attributes:
        project: Project, which is also the database schema of its tables.
        name: As the user wrote it.
        sql_name: Folded; the events table's name.
        columns: The model's own columns, labels among them, in order of registration.
        earliest_event_time: First event_time accepted.
        latest_ahead: How far ahead of the clock an event_time may be.
        chunk_interval: Time span of a chunk of its hypertables.
        retention: Age from which its events are dropped; None: never.
        revision: Grows by one with each change.
        sampling: Its rates of sampling, oldest first; none where every event is kept and always was.
        task: What the model is for; None where nobody said.
        classes: The classes it tells apart; empty: any.
        positive_class: Of a binary classification; empty: not said.
        threshold: Scores from here on count as the positive class.
        baseline_dataset: Name of the dataset that drift is measured against; empty: none.
        late_kinds: Names of the late kinds that had a first row, so that they have tables (models/late_tables.py);
            labels are not among them, their tables come with the model's first label.
    """

    project: str
    name: str
    sql_name: str
    columns: tuple[ModelColumn, ...]
    identity: Identity
    event_id_type: EventIdType
    unknown_columns: UnknownColumns
    versions: tuple[str, ...]
    earliest_event_time: datetime
    latest_ahead: timedelta
    chunk_interval: timedelta
    retention: timedelta | None
    revision: int
    created_at: datetime
    updated_at: datetime
    baseline_dataset: str = ""
    late_kinds: frozenset[str] = frozenset()
    sampling: tuple[SamplingRate, ...] = ()
    task: TaskType | None = None
    classes: tuple[str, ...] = ()
    positive_class: str = ""
    threshold: float = 0.5

    @property
    def sampling_rate(self) -> float:
        """Share of its events that is kept now."""
        return self.sampling[-1].rate if self.sampling else 1.0

    @property
    def expiry(self) -> timedelta | None:
        """Age from which rows are refused: their chunk may be dropped at any moment."""
        return None if self.retention is None else self.retention + self.chunk_interval

    @cached_property
    def labels(self) -> tuple[ModelColumn, ...]:
        """Its label columns."""
        return tuple(column for column in self.columns if column.kind is ColumnKind.LABEL)

    @cached_property
    def event_columns(self) -> tuple[ModelColumn, ...]:
        """Its columns that are stored with the event: all but labels."""
        return tuple(column for column in self.columns if column.kind is not ColumnKind.LABEL)

    @cached_property
    def features(self) -> tuple[ModelColumn, ...]:
        """Its feature columns."""
        return tuple(column for column in self.columns if column.kind is ColumnKind.FEATURE)

    @cached_property
    def predictions(self) -> tuple[ModelColumn, ...]:
        """Its prediction columns."""
        return tuple(column for column in self.columns if column.kind is ColumnKind.PREDICTION)

    @property
    def main_prediction(self) -> ModelColumn | None:
        """The prediction that is meant by "prediction": the only one, or the one that the task asks for first."""
        return _main(self.predictions, self.task)

    @property
    def main_label(self) -> ModelColumn | None:
        """The label that is meant by "label": the only one, or the one that answers the prediction."""
        return _main(self.labels, self.task)


def _main(columns: tuple[ModelColumn, ...], task: TaskType | None) -> ModelColumn | None:
    if len(columns) == 1:
        return columns[0]
    first = [] if task is None else [column for role in roles_of(task) for column in columns if column.role is role]
    return first[0] if first else None
