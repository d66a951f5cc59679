"""What a caller asks the registry for: a model's definition, before it has tables.

Made by models/wire.py from a RegisterModel call and by intake from a first batch; checked and folded into a ModelSchema
by models/evolution.py.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from headrace.schemas.tasks import ColumnRole, TaskType
from headrace_server.models.column_types import ValueType
from headrace_server.models.schema import ColumnKind, EventIdType, Identity, UnknownColumns

EARLIEST_EVENT_TIME = datetime(1990, 1, 1, tzinfo=UTC)
LATEST_AHEAD = timedelta(days=1)
CHUNK_INTERVAL = timedelta(days=7)


class ColumnLike(Protocol):
    """A column that is asked for; ModelColumn is one, too."""

    @property
    def name(self) -> str:
        """As the user wrote it."""

    @property
    def kind(self) -> ColumnKind:
        """What it is to the model."""

    @property
    def type(self) -> ValueType:
        """Type of its values."""

    @property
    def dimension(self) -> int:
        """Numbers in each vector; 0 for other types."""

    @property
    def description(self) -> str:
        """For people."""

    @property
    def role(self) -> ColumnRole | None:
        """What it is to the model's task; None leaves it as it is."""


@dataclass(frozen=True)
class ColumnDefinition:
    """A column that is asked for."""

    name: str
    kind: ColumnKind
    type: ValueType
    dimension: int = 0
    description: str = ""
    role: ColumnRole | None = None


@dataclass(frozen=True)
class TaskDefinition:
    """What a model is for, as far as it is said.

    Attributes:
        type: None leaves it as it is.
        classes: Those to add.
        positive_class: Empty leaves it as it is.
        threshold: None leaves it as it is.
    """

    type: TaskType | None = None
    classes: tuple[str, ...] = ()
    positive_class: str = ""
    threshold: float | None = None


@dataclass(frozen=True)
class ModelDefinition:
    """A model that is asked for.

    Attributes:
        name: As the user wrote it.
        columns: Its columns; those that are registered and left out here stay.
        identity: None is UNIQUE for a new model, and as it is for one that is there. So is event_id_type (TEXT).
        task: What it is for. Its threshold is for a new model; later only an update changes it.
        unknown_columns: As the threshold. So are the times that follow.
        earliest_event_time: First event_time accepted.
        latest_ahead: How far ahead of the clock an event_time may be.
        chunk_interval: Time span of a chunk.
        retention: Age from which events are dropped; None: never.
    """

    name: str
    columns: tuple[ColumnLike, ...] = ()
    identity: Identity | None = None
    event_id_type: EventIdType | None = None
    task: TaskDefinition = TaskDefinition()
    unknown_columns: UnknownColumns = UnknownColumns.REJECT
    earliest_event_time: datetime = EARLIEST_EVENT_TIME
    latest_ahead: timedelta = LATEST_AHEAD
    chunk_interval: timedelta = CHUNK_INTERVAL
    retention: timedelta | None = None
