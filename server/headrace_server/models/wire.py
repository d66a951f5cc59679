"""A model on the wire and in memory: ModelSchema to headrace.v1.Model, and what a caller asks for back to definitions.

Only what the proto can say wrongly by itself is refused here (an unspecified type, a time beyond the calendar), every
field at fault by name; what makes a possible model is decided in models/evolution.py.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from headrace.schemas.tasks import ColumnRole, TaskType
from headrace.v1 import model_pb2, model_service_pb2
from headrace_server.errors import ModelInvalidError
from headrace_server.models import joined_view
from headrace_server.models.column_types import ValueType
from headrace_server.models.definition import (
    CHUNK_INTERVAL,
    EARLIEST_EVENT_TIME,
    LATEST_AHEAD,
    ColumnDefinition,
    ModelDefinition,
    TaskDefinition,
)
from headrace_server.models.late_tables import LABELS, settled_table
from headrace_server.models.schema import ColumnKind, EventIdType, Identity, ModelColumn, ModelSchema, UnknownColumns
from headrace_server.models.table_spec import events_table

Choice = TypeVar("Choice", ColumnKind, ColumnRole, Identity, EventIdType, TaskType, UnknownColumns)


def to_proto(schema: ModelSchema) -> model_pb2.Model:
    """Return the model as clients see it."""
    model = model_pb2.Model(
        project=schema.project,
        name=schema.name,
        columns=[column_to_proto(column) for column in schema.columns],
        identity=schema.identity.value,
        event_id_type=schema.event_id_type.value,
        unknown_columns=schema.unknown_columns.value,
        versions=schema.versions,
        revision=schema.revision,
        events_table=events_table(schema).qualified,
        sampling_rate=schema.sampling_rate,
        task=schema.task.value if schema.task else model_pb2.TASK_TYPE_UNSPECIFIED,
        classes=schema.classes,
        positive_class=schema.positive_class,
        threshold=schema.threshold,
        baseline_dataset=schema.baseline_dataset,
    )
    model.earliest_event_time.FromDatetime(schema.earliest_event_time)
    model.latest_event_time_ahead.FromTimedelta(schema.latest_ahead)
    model.chunk_interval.FromTimedelta(schema.chunk_interval)
    if schema.retention is not None:
        model.retention.FromTimedelta(schema.retention)
    model.create_time.FromDatetime(schema.created_at)
    model.update_time.FromDatetime(schema.updated_at)
    if schema.labels:
        model.labels_table = settled_table(schema, LABELS).qualified
        model.joined_view = joined_view.view_of(schema)
    return model


def column_to_proto(column: ModelColumn) -> model_pb2.ModelColumn:
    """Return a column as clients see it."""
    return model_pb2.ModelColumn(
        name=column.name,
        kind=column.kind.value,
        type=column.type.wire,
        dimension=column.dimension,
        description=column.description,
        sql_name=column.sql_name,
        role=column.role.value if column.role else model_pb2.COLUMN_ROLE_UNSPECIFIED,
    )


def definition(model: model_pb2.Model) -> ModelDefinition:
    """Return what a RegisterModel call asks for.

    Raises:
        ModelInvalidError: The message says something that is no model; `fields` names all faults.
    """
    faults: dict[str, str] = {}
    result = ModelDefinition(
        name=model.name,
        columns=_columns(model.columns, "model.columns", faults),
        identity=_choice(Identity, model.identity, "model.identity", faults),
        event_id_type=_choice(EventIdType, model.event_id_type, "model.event_id_type", faults),
        task=TaskDefinition(
            _choice(TaskType, model.task, "model.task", faults),
            tuple(model.classes),
            model.positive_class,
            model.threshold if model.HasField("threshold") else None,
        ),
        unknown_columns=_choice(UnknownColumns, model.unknown_columns, "model.unknown_columns", faults)
        or UnknownColumns.REJECT,
        earliest_event_time=_time(model.earliest_event_time, "model.earliest_event_time", faults)
        if model.HasField("earliest_event_time")
        else EARLIEST_EVENT_TIME,
        latest_ahead=_span(model.latest_event_time_ahead, "model.latest_event_time_ahead", faults)
        if model.HasField("latest_event_time_ahead")
        else LATEST_AHEAD,
        chunk_interval=_span(model.chunk_interval, "model.chunk_interval", faults)
        if model.HasField("chunk_interval")
        else CHUNK_INTERVAL,
        retention=_span(model.retention, "model.retention", faults) or None,
    )
    _require_none(faults)
    return result


def added_columns(columns: Iterable[model_pb2.ModelColumn]) -> tuple[ColumnDefinition, ...]:
    """Return the columns that an UpdateModel call adds.

    Raises:
        ModelInvalidError: A column says something that is none.
    """
    faults: dict[str, str] = {}
    result = _columns(columns, "add_columns", faults)
    _require_none(faults)
    return result


def asked_task(request: model_service_pb2.UpdateModelRequest) -> TaskDefinition:
    """Return what an UpdateModel call says of the model's task.

    Raises:
        ModelInvalidError: This service does not know the task.
    """
    faults: dict[str, str] = {}
    task = _choice(TaskType, request.task, "task", faults)
    _require_none(faults)
    threshold = request.threshold if request.HasField("threshold") else None
    return TaskDefinition(task, tuple(request.add_classes), request.positive_class, threshold)


def unknown_columns(value: int) -> UnknownColumns | None:
    """Return the policy that an UpdateModel call names; None when it names none.

    Raises:
        ModelInvalidError: This service does not know it.
    """
    faults: dict[str, str] = {}
    result = _choice(UnknownColumns, value, "unknown_columns", faults)
    _require_none(faults)
    return result


def retention(request: model_service_pb2.UpdateModelRequest) -> timedelta | None:
    """Return the retention that an UpdateModel call names, 0 for ever; None when it names none.

    Raises:
        ModelInvalidError: It is no span of time.
    """
    if not request.HasField("retention"):
        return None
    faults: dict[str, str] = {}
    result = _span(request.retention, "retention", faults)
    _require_none(faults)
    return result


def _columns(
    columns: Iterable[model_pb2.ModelColumn], field: str, faults: dict[str, str]
) -> tuple[ColumnDefinition, ...]:
    result = []
    for index, column in enumerate(columns):
        place = f"{field}[{index}]"
        kind = _choice(ColumnKind, column.kind, f"{place}.kind", faults)
        value_type = ValueType.from_wire(column.type)
        if column.kind == model_pb2.COLUMN_KIND_UNSPECIFIED:
            faults[f"{place}.kind"] = "must be given: FEATURE, PREDICTION, LABEL or EXTRA"
        if value_type is None:
            faults[f"{place}.type"] = "must be a type this service knows"
        role = _choice(ColumnRole, column.role, f"{place}.role", faults)
        if kind and value_type:
            result.append(ColumnDefinition(column.name, kind, value_type, column.dimension, column.description, role))
    return tuple(result)


def _choice(choices: type[Choice], value: int, field: str, faults: dict[str, str]) -> Choice | None:
    """Return the value's meaning; None for the unspecified one, and for an unknown one, which is a fault."""
    if value == 0:
        return None
    try:
        return choices(value)
    except ValueError:
        faults[field] = f"{value} is no value this service knows"
        return None


def _time(time: Timestamp, field: str, faults: dict[str, str]) -> datetime:
    try:
        return time.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        faults[field] = "must lie in the years 1 to 9999"
        return EARLIEST_EVENT_TIME


def _span(span: Duration, field: str, faults: dict[str, str]) -> timedelta:
    try:
        return span.ToTimedelta()
    except (ValueError, OverflowError):
        faults[field] = "is no span of time"
        return timedelta()


def _require_none(faults: dict[str, str]) -> None:
    if faults:
        field, fault = next(iter(faults.items()))
        raise ModelInvalidError(f"{field} {fault}", fields=faults)
