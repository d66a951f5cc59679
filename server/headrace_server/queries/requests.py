"""What clients ask for, from protos to filters; what cannot be meant is refused here, by the name of its field."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from headrace.v1 import query_service_pb2 as pb
from headrace_server.errors import EventIdInvalidError, EventIdsInvalidError, TimeRangeInvalidError
from headrace_server.models.names import storable
from headrace_server.models.schema import EventIdType, ModelSchema
from headrace_server.queries.reader import EventQuery
from headrace_server.queries.selection import EventFilter, EventIds

MOST_IDS = 1_000
MOST_LIMIT = 2**63 - 1


def by_id(request: pb.GetEventsRequest, schema: ModelSchema) -> EventFilter:
    """Return what a GetEvents call asks for.

    Raises:
        EventIdsInvalidError: There is no id, or there are too many.
        EventIdInvalidError: The model's ids are UUIDs, and one is none.
        TimeRangeInvalidError: A time is none.
    """
    time = micros_of(request, "event_time")
    return EventFilter(
        ids=event_ids(request.event_ids, schema, MOST_IDS),
        start=time,
        end=None if time is None else time + 1,
        as_of=micros_of(request, "as_of"),
    )


def by_time(request: pb.QueryEventsRequest) -> EventQuery:
    """Return what a QueryEvents call asks for.

    Raises:
        TimeRangeInvalidError: The range ends where it begins or before, or a time is none.
    """
    start, end = micros_of(request, "start_time"), micros_of(request, "end_time")
    check_range(start, end)
    return EventQuery(
        EventFilter(
            start=start,
            end=end,
            has_label=request.has_label if request.HasField("has_label") else None,
            variant=_text(request.variant),
            tag=_text(request.tag),
            source=_text(request.source),
            model_version=_text(request.model_version),
            label_source=_text(request.label_source),
            as_of=micros_of(request, "as_of"),
        ),
        columns=list(request.columns),
        newest_first=request.order == pb.EVENT_ORDER_NEWEST_FIRST,
        limit=min(request.limit, MOST_LIMIT),
    )


def check_range(start: int | None, end: int | None) -> None:
    """Check that a half-open range, in microseconds, holds some time.

    Raises:
        TimeRangeInvalidError: It does not.
    """
    if start is not None and end is not None and start >= end:
        raise TimeRangeInvalidError(
            "the time range is empty: it must end after it begins, and its end is no part of it",
            fields={"end_time": "must be after start_time"},
        )


def event_ids(ids: Iterable[str], schema: ModelSchema, most: int) -> EventIds:
    """Return event ids as the model's table has them, each once.

    Raises:
        EventIdsInvalidError: There is none, or there are more than `most`.
        EventIdInvalidError: The model's ids are UUIDs, and one is none.
    """
    wanted: Sequence[str] = list(dict.fromkeys(ids))
    if not 0 < len(wanted) <= most:
        fault = f"{len(wanted)} ids; from 1 to {most} are taken"
        raise EventIdsInvalidError(fault, fields={"event_ids": fault})
    if schema.event_id_type is EventIdType.UUID:
        return [_uuid(one) for one in wanted]
    return [one if storable(one) else "" for one in wanted]  # no event has either


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise EventIdInvalidError(
            f"{text[:60]!r} is no UUID, and the model's event ids are", fields={"event_ids": "must be UUIDs"}
        ) from None


def _text(text: str) -> str | None:
    # A text that PostgreSQL cannot have equals none of its texts, and neither does this one.
    return (text if storable(text) else "\ufffe" * 257) if text else None


def micros_of(message: Message, field: str) -> int | None:
    """Return a Timestamp field of a request in microseconds since 1970; None where it is not there.

    Raises:
        TimeRangeInvalidError: It is beyond the calendar.
    """
    if not message.HasField(field):
        return None
    time: Timestamp = getattr(message, field)
    try:
        return time.ToMicroseconds()
    except ValueError:
        fault = "must lie in the years 1 to 9999"
        raise TimeRangeInvalidError(f"{field} {fault}", fields={field: fault}) from None
