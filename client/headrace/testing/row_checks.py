"""What the service would refuse of a row, given the model it was registered for.

The commonest reasons, by the service's names: ids and times, unknown and misplaced columns, types. Limits of length
and of time, and what only a database finds, are left to the service.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from headrace.logged.rows import EVENT_NAMES, SYSTEM_COLUMNS, wire_name
from headrace.testing.rejection import Rejection
from headrace.times import as_datetime
from headrace.v1 import batch_pb2, model_pb2

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMES = ("event_time", "label_time")
_LABEL_SYSTEM_COLUMNS = frozenset({"event_id", "event_time", "label_time", "source"})
_WRITTEN_BY_SERVICE = frozenset({"observed_time", "recorded_time"})


def with_times(cells: Mapping[str, object], kind: batch_pb2.RecordKind.ValueType) -> dict[str, object]:
    """Return cells with times as datetimes, whatever form they came in, and an event's time from its UUIDv7."""
    timed = dict(cells)
    for name in _TIMES:
        if name in timed and not isinstance(timed[name], datetime):
            try:
                timed[name] = as_datetime(timed[name])  # type: ignore[arg-type]  # what is no time raises
            except (TypeError, ValueError, OverflowError):
                continue  # the checks find it
    is_event = kind == batch_pb2.RECORD_KIND_EVENTS
    if is_event and "event_time" not in timed and (carried := _time_in(timed.get("event_id"))) is not None:
        timed["event_time"] = carried
    return timed


def fault_of(
    cells: Mapping[str, object], kind: batch_pb2.RecordKind.ValueType, model: model_pb2.Model
) -> Rejection | None:
    """Return why the service would refuse this row, or None."""
    if kind == batch_pb2.RECORD_KIND_EVENTS:
        return _event_fault(cells, model)
    return _label_fault(cells, model) if kind == batch_pb2.RECORD_KIND_LABELS else None


def _event_fault(cells: Mapping[str, object], model: model_pb2.Model) -> Rejection | None:
    own = {wire_name(column.name): column for column in model.columns if column.kind != model_pb2.COLUMN_KIND_LABEL}
    predictions = [column for column in own.values() if column.kind == model_pb2.COLUMN_KIND_PREDICTION]
    if len(predictions) == 1:
        own.setdefault("prediction", predictions[0])
    labels = {column.name for column in model.columns if column.kind == model_pb2.COLUMN_KIND_LABEL}
    for name, cell in cells.items():
        fault: Rejection | None = None
        if name in _WRITTEN_BY_SERVICE:
            fault = Rejection.of("IMMUTABLE_COLUMN", name, f"{name} is written by the service")
        elif name in labels and name not in own:
            fault = Rejection.of("LABEL_IN_EVENT", name, f"{name} is a label: send it in rows of kind LABELS")
        elif name in own:
            fault = _type_fault(name, cell, own[name])
        elif name not in EVENT_NAMES and model.unknown_columns in _REJECTING:
            fault = Rejection.of("UNKNOWN_COLUMN", name, f"the model has no column {name!r}")
        if fault is not None:
            return fault
    if (fault := _key_fault(cells)) is not None:
        return fault
    if "event_time" not in cells and model.identity != model_pb2.IDENTITY_APPEND:
        return Rejection.of("EVENT_TIME_REQUIRED", "event_time", "send event_time, or ids that are UUIDv7")
    return None


def _label_fault(cells: Mapping[str, object], model: model_pb2.Model) -> Rejection | None:
    labels = {wire_name(column.name): column for column in model.columns if column.kind == model_pb2.COLUMN_KIND_LABEL}
    if not labels:
        return Rejection.of("NO_LABELS", "", "the model has no labels")
    if len(labels) == 1:
        labels["label"] = next(iter(labels.values()))
    others = {column.name for column in model.columns} | SYSTEM_COLUMNS | {"prediction"}
    for name, cell in cells.items():
        fault: Rejection | None = None
        if name in labels:
            fault = _type_fault(name, cell, labels[name])
        elif name in _LABEL_SYSTEM_COLUMNS:
            continue
        elif name in others:
            fault = Rejection.of("IMMUTABLE_COLUMN", name, f"{name} belongs to the event, which never changes")
        else:
            fault = Rejection.of("UNKNOWN_COLUMN", name, f"the model has no label {name!r}")
        if fault is not None:
            return fault
    if not labels.keys() & cells.keys():
        return Rejection.of("LABEL_REQUIRED", "", "the row has none of the model's labels")
    return _key_fault(cells)


def _key_fault(cells: Mapping[str, object]) -> Rejection | None:
    event_id = cells.get("event_id", "")
    if not isinstance(event_id, str):
        return Rejection.of("WRONG_TYPE", "event_id", "event_id is a text")
    if not event_id:
        return Rejection.of("EVENT_ID_REQUIRED", "event_id", "the row has no event_id")
    if len(event_id.encode()) > 128:
        return Rejection.of("EVENT_ID_TOO_LONG", "event_id", "an event_id has at most 128 bytes")
    for name in _TIMES:
        if name in cells and not isinstance(cells[name], datetime):
            return Rejection.of("WRONG_TYPE", name, f"{cells[name]!r} is no time")
    return None


def _type_fault(name: str, cell: object, column: model_pb2.ModelColumn) -> Rejection | None:
    type_name = model_pb2.ValueType.Name(column.type).removeprefix("VALUE_TYPE_")
    if not _FITS.get(type_name, _anything)(cell):
        return Rejection.of("WRONG_TYPE", name, f"{name} is {type_name}, the row has {cell!r}")
    if type_name == "VECTOR" and isinstance(cell, list) and len(cell) != column.dimension:
        return Rejection.of("VECTOR_DIMENSION", name, f"{name} has dimension {column.dimension}, the row {len(cell)}")
    return None


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _is_time(cell: object) -> bool:
    try:
        as_datetime(cell)  # type: ignore[arg-type]  # what is no time raises
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _anything(_: object) -> bool:
    return True


_REJECTING = frozenset({model_pb2.UNKNOWN_COLUMNS_UNSPECIFIED, model_pb2.UNKNOWN_COLUMNS_REJECT})

_FITS: Mapping[str, Callable[[object], bool]] = {
    "BOOL": lambda cell: isinstance(cell, bool),
    "INT64": lambda cell: _is_number(cell) and float(cell).is_integer(),  # type: ignore[arg-type]  # a number
    "FLOAT64": _is_number,
    "STRING": lambda cell: isinstance(cell, str),
    "CATEGORY": lambda cell: isinstance(cell, str),
    "TIMESTAMP": _is_time,
    "VECTOR": lambda cell: isinstance(cell, list) and all(map(_is_number, cell)),
    "BYTES": lambda cell: isinstance(cell, bytes | str),
    "STRING_LIST": lambda cell: isinstance(cell, list) and all(isinstance(item, str) for item in cell),
}


def _time_in(event_id: object) -> datetime | None:
    """Return the millisecond that a UUIDv7 carries."""
    try:
        parsed = uuid.UUID(event_id) if isinstance(event_id, str) else None
    except ValueError:
        return None
    if parsed is None or parsed.version != 7:
        return None
    return _EPOCH + timedelta(milliseconds=parsed.int >> 80)
