"""Reads events: some by id with all that is known of them, or many by time, part by part.

Many events are read chunk by chunk, in order of time, each by a statement of its own with a cursor on it: the database
sorts and joins one chunk at a time, the first part comes at once, and only one part is in memory here. All statements
of a read share one snapshot.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace

import asyncpg

from headrace_server.errors import EventNotFoundError, ResultTooLargeError
from headrace_server.models.schema import ModelSchema
from headrace_server.queries.columns import LateTable, ReadColumn, chosen, event_columns, late_tables, without_bytes
from headrace_server.queries.parts import FIRST_ROWS, Part, most_rows, rows_of_next
from headrace_server.queries.selection import EventFilter, Statement, select_events, select_late
from headrace_server.queries.snapshots import Snapshots

MOST_ROWS_BY_ID = 10_000

# The chunks that a window touches.
_CHUNKS = """
SELECT range_start, range_end FROM timescaledb_information.chunks
WHERE hypertable_schema = $1 AND hypertable_name = $2
  AND ($3::timestamptz IS NULL OR range_end > $3) AND ($4::timestamptz IS NULL OR range_start < $4)
ORDER BY range_start
"""


@dataclass(frozen=True)
class EventQuery:
    """What to read of many events.

    Attributes:
        wanted: What must hold of them.
        columns: Names of the columns; none: all.
        limit: Most events; 0: all.
    """

    wanted: EventFilter
    columns: Sequence[str] = ()
    newest_first: bool = False
    limit: int = 0


@dataclass(frozen=True)
class EventsById:
    """Some events and what came late for them."""

    events: Part
    late: list[tuple[LateTable, Part]]


class Reader:
    """Reads what is stored.

    Args:
        snapshots: The way to the database.
    """

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots

    async def by_id(self, schema: ModelSchema, wanted: EventFilter) -> EventsById:
        """Return the events with the filter's ids, with every revision of what came late for them.

        Media come with the event of one id; not with those of several, which may be more than an answer takes.

        Raises:
            EventNotFoundError: None of the ids has an event.
            ResultTooLargeError: There are more rows than an answer takes.
            ReadersBusyError, QueryTooSlowError, DatabaseUnavailableError: As Snapshots.one.
        """
        columns = event_columns(schema)
        if wanted.ids is None or len(wanted.ids) > 1:
            columns = without_bytes(columns)
        most = most_rows(columns, MOST_ROWS_BY_ID)
        async with self._snapshots.one() as connection:
            events = await _all(connection, columns, select_events(schema, columns, wanted, limit=most + 1), most)
            late = []
            for table in await late_tables(connection, schema):
                statement = select_late(schema, table, wanted, MOST_ROWS_BY_ID + 1)
                part = await _all(connection, table.columns, statement, MOST_ROWS_BY_ID)
                if part.table.num_rows:
                    late.append((table, part))
        if not events.table.num_rows:
            waiting = sum(part.table.num_rows for table, part in late if table.waiting)
            raise EventNotFoundError(
                f"the model {schema.name!r} has no event with "
                + (f"the id {str(wanted.ids[0])!r}" if wanted.ids and len(wanted.ids) == 1 else "any of these ids")
                + (f"; {waiting} late rows wait for one" if waiting else ""),
                metadata={"model": schema.name, "waiting_rows": str(waiting)},
            )
        return EventsById(events, late)

    async def events(self, schema: ModelSchema, query: EventQuery) -> AsyncGenerator[Part, None]:
        """Yield the events part by part, at least one part.

        Close the iterator when it is left before its end: it holds a connection.

        Raises:
            UnknownColumnError: The model has no such column.
            ReadersBusyError, QueryTooSlowError, DatabaseUnavailableError: As Snapshots.one.
        """
        columns = chosen(event_columns(schema), query.columns)
        left = query.limit or None
        rows, parts = most_rows(columns, FIRST_ROWS), 0
        async with self._snapshots.one() as connection:
            for wanted in await _by_chunk(connection, schema, query):
                statement = select_events(schema, columns, wanted, newest_first=query.newest_first, limit=left)
                cursor = await connection.cursor(statement.sql, *statement.arguments)
                while records := await cursor.fetch(rows):
                    part = await asyncio.to_thread(Part.of, columns, records)
                    rows, parts = rows_of_next(part), parts + 1
                    left = None if left is None else left - len(records)
                    yield part
                if left == 0:
                    break
        if not parts:
            yield Part.of(columns, [])


async def _all(connection: asyncpg.Connection, columns: Sequence[ReadColumn], statement: Statement, most: int) -> Part:
    records = await connection.fetch(statement.sql, *statement.arguments)
    if len(records) > most:
        raise ResultTooLargeError(f"these ids have more than {most} rows: ask for fewer of them, or for one event_time")
    return await asyncio.to_thread(Part.of, columns, records)


async def _by_chunk(connection: asyncpg.Connection, schema: ModelSchema, query: EventQuery) -> list[EventFilter]:
    """Return the query's filter for each chunk that its time touches, in the query's order."""
    wanted = query.wanted
    rows = await connection.fetch(_CHUNKS, schema.project, schema.sql_name, wanted.start, wanted.end)
    filters = [
        replace(
            wanted,
            start=start if wanted.start is None else max(start, wanted.start),
            end=end if wanted.end is None else min(end, wanted.end),
        )
        for start, end in rows
    ]
    return filters[::-1] if query.newest_first else filters
