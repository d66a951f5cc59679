"""A model as the registry knows it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from headrace.schemas.schema import Schema
from headrace.v1 import model_pb2


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
