"""How much a model has stored: rows, bytes, chunks, its first and last time.

Rows are counted where that means reading little (EXACT_BYTES of heap); else the planner is asked, which multiplies the
density it knows from ANALYZE with the pages that are there now, and reads nothing. Each figure says which it is.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from headrace.v1 import query_service_pb2 as pb
from headrace_server.models.schema import ModelSchema
from headrace_server.models.table_spec import events_table
from headrace_server.queries.columns import LateTable, late_tables
from headrace_server.queries.snapshots import Snapshots

EXACT_BYTES = 128 * 1024 * 1024  # of heap: about a million rows, a fifth of a second
MINUTE_S = 60
HOUR_S = 3_600

# A chunk's size is asked of its own tables; what it has compressed lies in another, which its total has, its heap not.
_CHUNKS = """
SELECT range_start, range_end, pg_relation_size(chunk) AS heap_bytes, pg_total_relation_size(chunk) AS total_bytes
FROM (
    SELECT range_start, range_end, format('%I.%I', chunk_schema, chunk_name)::regclass AS chunk
    FROM timescaledb_information.chunks WHERE hypertable_schema = $1 AND hypertable_name = $2
) AS chunks
ORDER BY range_start
"""
_PLAIN = "SELECT pg_relation_size($1::regclass) AS heap_bytes, pg_total_relation_size($1::regclass) AS total_bytes"
_NOW = "SELECT now()"


@dataclass(frozen=True)
class Chunk:
    """One chunk of a hypertable; times in microseconds since 1970."""

    start: int
    end: int
    heap_bytes: int
    total_bytes: int


class Statistics:
    """Tells how much models have stored.

    Args:
        snapshots: The way to the database.
    """

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots

    async def of(self, schema: ModelSchema) -> pb.GetModelStatisticsResponse:
        """Return a model's statistics.

        Raises:
            ReadersBusyError, QueryTooSlowError, DatabaseUnavailableError: As Snapshots.one.
        """
        events = events_table(schema)
        async with self._snapshots.one() as connection:
            chunks = await _chunks(connection, events.schema, events.name)
            response = pb.GetModelStatisticsResponse(events=await _hypertable(connection, events.qualified, chunks))
            await _add_times(connection, events.qualified, chunks, response)
            now: int = await connection.fetchval(_NOW)
            for seconds, count in ((MINUTE_S, response.events_last_minute), (HOUR_S, response.events_last_hour)):
                count.CopyFrom(await _since(connection, events.qualified, chunks, now - seconds * 1_000_000))
            for table in await late_tables(connection, schema):
                await _add_late(connection, schema, table, response)
        return response


async def _add_late(
    connection: asyncpg.Connection, schema: ModelSchema, table: LateTable, response: pb.GetModelStatisticsResponse
) -> None:
    entry = next((late for late in response.late if late.kind == table.kind), None) or response.late.add(
        kind=table.kind
    )
    if table.waiting:
        entry.waiting.CopyFrom(await _plain(connection, table.table))
    else:
        chunks = await _chunks(connection, schema.project, table.name)
        entry.stored.CopyFrom(await _hypertable(connection, table.table, chunks))


async def _chunks(connection: asyncpg.Connection, schema: str, table: str) -> list[Chunk]:
    return [Chunk(*row) for row in await connection.fetch(_CHUNKS, schema, table)]


async def _hypertable(connection: asyncpg.Connection, table: str, chunks: Sequence[Chunk]) -> pb.TableStatistics:
    return pb.TableStatistics(
        table=table,
        rows=await _count(connection, table, sum(chunk.heap_bytes for chunk in chunks)),
        total_bytes=sum(chunk.total_bytes for chunk in chunks),
        chunks=len(chunks),
    )


async def _plain(connection: asyncpg.Connection, table: str) -> pb.TableStatistics:
    size = await connection.fetchrow(_PLAIN, table)
    return pb.TableStatistics(
        table=table,
        rows=await _count(connection, table, size["heap_bytes"]),
        total_bytes=size["total_bytes"],
    )


async def _since(connection: asyncpg.Connection, table: str, chunks: Sequence[Chunk], start: int) -> pb.RowCount:
    heap_bytes = sum(chunk.heap_bytes for chunk in chunks if chunk.end > start)
    return await _count(connection, table, heap_bytes, " WHERE event_time >= $1::timestamptz", start)


async def _count(
    connection: asyncpg.Connection, table: str, heap_bytes: int, condition: str = "", *arguments: object
) -> pb.RowCount:
    """Count rows, or have them estimated where counting would read much."""
    if heap_bytes <= EXACT_BYTES:
        rows = await connection.fetchval(f"SELECT count(*) FROM {table}{condition}", *arguments)  # noqa: S608 — quoted
        return pb.RowCount(rows=rows, exact=True)
    plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) SELECT FROM {table}{condition}", *arguments)
    return pb.RowCount(rows=json.loads(plan)[0]["Plan"]["Plan Rows"], exact=False)


async def _add_times(
    connection: asyncpg.Connection, table: str, chunks: Sequence[Chunk], response: pb.GetModelStatisticsResponse
) -> None:
    first = await _end_of_time(connection, table, chunks, "min")
    last = await _end_of_time(connection, table, chunks[::-1], "max")
    if first is not None and last is not None:
        response.first_event_time.FromMicroseconds(first[0])
        response.last_event_time.FromMicroseconds(last[0])
        response.first_event_time_exact, response.last_event_time_exact = first[1], last[1]


async def _end_of_time(
    connection: asyncpg.Connection, table: str, chunks: Sequence[Chunk], end: str
) -> tuple[int, bool] | None:
    """Return the first or the last time and whether it is exact, going through the chunks from that end on."""
    for chunk in chunks:
        if chunk.heap_bytes > EXACT_BYTES:
            return (chunk.start if end == "min" else chunk.end), False
        within = "event_time >= $1::timestamptz AND event_time < $2::timestamptz"
        sql = f"SELECT {end}(event_time) FROM {table} WHERE {within}"  # noqa: S608 — quoted
        time: int | None = await connection.fetchval(sql, chunk.start, chunk.end)
        if time is not None:
            return time, True
    return None
