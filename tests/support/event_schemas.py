"""Models as validation sees them, made without a registry."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from headrace_server.copying.connection import Connection
from headrace_server.copying.landing import GroupRows
from headrace_server.events.kind import EventsKind
from headrace_server.models import evolution
from headrace_server.models.column_types import ValueType
from headrace_server.models.definition import ColumnDefinition, ModelDefinition
from headrace_server.models.schema import ModelSchema
from headrace_server.validation.row_schema import Moment, RowSchema
from support.model_definitions import feature, label, prediction

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOMENT = Moment(NOW)

COLUMNS = (
    feature("dep_delay", ValueType.FLOAT64),
    feature("distance", ValueType.INT64),
    feature("carrier", ValueType.CATEGORY),
    feature("note", ValueType.STRING),
    feature("diverted", ValueType.BOOL),
    feature("booked_at", ValueType.TIMESTAMP),
    feature("embedding", ValueType.VECTOR, 3),
    feature("stops", ValueType.STRING_LIST),
    feature("raw", ValueType.JSON),
    prediction("score"),
    label("late"),
)


def model(*columns: ColumnDefinition, **settings: Any) -> ModelSchema:
    """A model with these columns, or with one of every type."""
    return evolution.create("main", ModelDefinition("flight_delay", columns or COLUMNS, **settings))


def schema(*columns: ColumnDefinition, **settings: Any) -> RowSchema:
    """What events of such a model may look like."""
    return EventsKind(_nothing_waits).row_schema(model(*columns, **settings))


async def _nothing_waits(model: ModelSchema, connection: Connection, rows: GroupRows) -> None:
    """No label waits for any event."""
