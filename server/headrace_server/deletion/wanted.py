"""What is to be deleted: some ids, or a span of time; and the guards that keep a slip from deleting more."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from headrace.v1 import deletion_service_pb2 as pb
from headrace_server.errors import DeleteEverythingError, DeleteNotConfirmedError, EventIdsInvalidError
from headrace_server.models.schema import ModelSchema
from headrace_server.models.table_spec import events_table
from headrace_server.queries.requests import check_range, event_ids, micros_of

MOST_IDS = 10_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Window:
    """Events of start <= event_time < end."""

    start: datetime
    end: datetime


Wanted = Sequence[str] | Sequence[UUID] | Window
"""Event ids, or a time."""


def wanted_of(request: pb.DeleteEventsRequest, schema: ModelSchema) -> Wanted:
    """Return what a DeleteEvents call means.

    Raises:
        DeleteNotConfirmedError: It does not name the model once more.
        DeleteEverythingError: It says neither ids nor both ends of a time.
        EventIdsInvalidError: It says ids and a time, or too many ids.
        EventIdInvalidError: The model's ids are UUIDs, and one is none.
        TimeRangeInvalidError: The time ends where it begins, or before.
    """
    if request.confirm_model not in (schema.name, schema.sql_name):
        raise DeleteNotConfirmedError(
            f"confirm_model must be {schema.name!r}, the model whose events are to be deleted",
            fields={"confirm_model": f"must be {schema.name!r}"},
        )
    start, end = micros_of(request, "start_time"), micros_of(request, "end_time")
    if request.event_ids:
        if start is not None or end is not None:
            fault = "ids or a time, not both"
            raise EventIdsInvalidError(fault, fields={"event_ids": fault})
        return event_ids(request.event_ids, schema, MOST_IDS)
    if start is None or end is None:
        fault = "must be given, both, or event_ids: all events of a model are never deleted at once"
        raise DeleteEverythingError(f"start_time and end_time {fault}", fields={"start_time": fault, "end_time": fault})
    check_range(start, end)
    return Window(EPOCH + timedelta(microseconds=start), EPOCH + timedelta(microseconds=end))


async def check_something_stays(connection: asyncpg.Connection, schema: ModelSchema, window: Window) -> None:
    """Check that the model has an event outside of a time, if it has any.

    Raises:
        DeleteEverythingError: It has not.
    """
    events = events_table(schema).qualified
    # Times as constants: each search then reads the chunks that may hold such an event, and stops at the first one.
    await connection.execute("SET plan_cache_mode = force_custom_plan")

    async def some(condition: str, *times: datetime) -> bool:
        sql = f"SELECT EXISTS (SELECT FROM {events} WHERE {condition})"  # noqa: S608 — quoted
        return bool(await connection.fetchval(sql, *times))

    if await some("event_time < $1", window.start) or await some("event_time >= $1", window.end):
        return
    if await some("event_time >= $1 AND event_time < $2", window.start, window.end):
        fault = f"{window.start.isoformat()} to {window.end.isoformat()} holds every event of the model"
        raise DeleteEverythingError(f"{fault}: delete a part of that time", fields={"end_time": fault})
