"""The work of a delete job: events first, then whatever came late for them.

1. Events are deleted: chunks that lie wholly in the window are dropped, of the others rows are deleted in lots, each a
   transaction of its own, so that ingest never waits long and a cancelled job leaves whole lots.
2. The job waits until every transaction that had begun by then has ended. One of them may have seen a deleted event and
   be about to store a label beside it; whoever begins later finds no event and leaves its label in the inbox.
3. Late rows are deleted in the same way, waiting ones too. A row that comes after that waits for an event in vain.

The hours that rows are gone from are noted with each lot (copying/touched.py), so that roll-ups are counted anew.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import asyncpg
import numpy as np
import numpy.typing as npt

from headrace.v1 import batch_pb2
from headrace_server.copying.connection import Connection, transaction
from headrace_server.copying.touched import HourNote, TouchedHours, write_notes
from headrace_server.deletion.wanted import EPOCH, Wanted, Window
from headrace_server.errors import DatabaseUnavailableError
from headrace_server.models.ddl_transaction import extension_schema
from headrace_server.models.names import qualified, quote_literal
from headrace_server.models.schema import EventIdType, ModelSchema
from headrace_server.models.table_spec import events_table
from headrace_server.queries.columns import LateTable, late_tables

LOT_ROWS = 10_000
LOCK_TIMEOUT_MS = 2_000
TRIES_S = 60.0  # for a lot, or for a chunk that others use
OTHERS_END_S = 60.0
PAUSE_S = (0.05, 0.5)
EVENTS = "EVENTS"
HOUR_MICROS = 3_600_000_000
MICROSECOND = timedelta(microseconds=1)

_CHUNKS = """
SELECT chunk_schema, chunk_name, range_start, range_end FROM timescaledb_information.chunks
WHERE hypertable_schema = $1 AND hypertable_name = $2 ORDER BY range_start
"""

_PASSING = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Chunk:
    """One chunk of a hypertable."""

    table: str
    start: datetime
    end: datetime

    @property
    def start_micros(self) -> int:
        """Its start in microseconds since 1970."""
        return (self.start - EPOCH) // MICROSECOND

    @property
    def end_micros(self) -> int:
        """Its end in microseconds since 1970."""
        return (self.end - EPOCH) // MICROSECOND

    def is_within(self, window: Window) -> bool:
        """Whether a window holds all of it."""
        return window.start <= self.start and self.end <= window.end

    def touches(self, window: Window) -> bool:
        """Whether a window holds some of it."""
        return window.start < self.end and self.start < window.end


class Deletion:
    """One delete at work.

    Args:
        connection: The job's own.
        schema: The model.
        wanted: What is to go.
        advance: Told how many rows are gone.
    """

    def __init__(
        self, connection: Connection, schema: ModelSchema, wanted: Wanted, advance: Callable[[int], None]
    ) -> None:
        self._connection = connection
        self._schema = schema
        self._wanted = wanted
        self._advance = advance
        self._dropped = 0

    async def run(self) -> dict[str, Any]:
        """Delete, and return what is gone, for the job's result.

        Raises:
            DatabaseUnavailableError: A chunk stayed in use for a minute, or the database went away.
        """
        events = events_table(self._schema)
        deleted = {events.name: await self._from_hypertable(EVENTS, events.name, events.qualified)}
        others_ended = await self._others_ended()
        for table in await late_tables(self._connection, self._schema):
            deleted[table.name] = await self._from_late(table)
        return {"deleted": deleted, "dropped_chunks": self._dropped, "others_ended": others_ended, **self._audit()}

    def _audit(self) -> dict[str, Any]:
        if isinstance(self._wanted, Window):
            return {"start_time": self._wanted.start.isoformat(), "end_time": self._wanted.end.isoformat()}
        return {"event_ids": len(self._wanted)}

    async def _from_late(self, table: LateTable) -> int:
        kind = batch_pb2.RecordKind.Name(table.kind).removeprefix("RECORD_KIND_")
        if not table.waiting:
            return await self._from_hypertable(kind, table.name, table.table)
        return await self._in_lots(None, table.table)

    async def _from_hypertable(self, kind: str, name: str, table: str) -> int:
        window, gone = self._wanted if isinstance(self._wanted, Window) else None, 0
        for row in await self._connection.fetch(_CHUNKS, self._schema.project, name):
            chunk = Chunk(qualified(row[0], row[1]), row[2], row[3])
            if window is not None and chunk.is_within(window):
                gone += await self._drop(kind, table, chunk)
            elif window is None or chunk.touches(window):
                gone += await self._in_lots(kind, chunk.table)
        return gone

    async def _drop(self, kind: str, table: str, chunk: Chunk) -> int:
        """Drop a chunk; returns how many rows it had just before."""
        schema = await extension_schema(self._connection)

        async def dropped() -> int:
            async with transaction(self._connection):
                await self._connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
                rows: int = await self._connection.fetchval(f"SELECT count(*) FROM {chunk.table}")  # noqa: S608 — quoted
                await self._connection.execute(
                    f"SELECT {schema}.drop_chunks({quote_literal(table)}::regclass,"
                    f" older_than => {quote_literal(chunk.end.isoformat())}::timestamptz,"
                    f" newer_than => {quote_literal(chunk.start.isoformat())}::timestamptz)"
                )
                await self._note(kind, np.arange(chunk.start_micros, chunk.end_micros, HOUR_MICROS))
            return rows

        rows = await _until_free(dropped)
        self._dropped += 1
        self._advance(rows)
        return rows

    async def _in_lots(self, kind: str | None, table: str) -> int:
        """Delete the rows of a chunk, or of a plain table (kind: None), that are wanted."""
        condition, arguments = self._condition()
        lot = f"SELECT ctid FROM {table} WHERE {condition} LIMIT {LOT_ROWS}"  # noqa: S608 — quoted
        delete = f"DELETE FROM {table} WHERE ctid = ANY(ARRAY({lot})) RETURNING event_time"  # noqa: S608 — quoted

        async def deleted() -> int:
            async with transaction(self._connection):
                await self._connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
                rows = await self._connection.fetch(delete, *arguments)
                if kind is not None and rows:
                    times = [row[0].replace(tzinfo=None) for row in rows]
                    await self._note(kind, np.array(times, "datetime64[us]").astype(np.int64))
            return len(rows)

        total = 0
        with suppress(asyncpg.UndefinedTableError):  # retention has dropped the chunk meanwhile
            while rows := await _until_free(deleted):
                total += rows
                self._advance(rows)
        return total

    async def _note(self, kind: str, micros: npt.NDArray[np.int64]) -> None:
        note = HourNote(self._schema.project, self._schema.sql_name, kind, TouchedHours.of(micros))
        await write_notes(self._connection, [note])

    def _condition(self) -> tuple[str, Sequence[object]]:
        if isinstance(self._wanted, Window):
            return "event_time >= $1 AND event_time < $2", (self._wanted.start, self._wanted.end)
        sql_type = "uuid[]" if self._schema.event_id_type is EventIdType.UUID else "text[]"
        return f"event_id = ANY($1::{sql_type})", (list(self._wanted),)

    async def _others_ended(self) -> bool:
        """Wait until whoever may have seen the deleted events has ended; False when one takes too long."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + OTHERS_END_S
        begun_by_now = await self._connection.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
        oldest = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
        while await self._connection.fetchval(oldest) < begun_by_now:
            if loop.time() >= give_up:
                return False
            await asyncio.sleep(random.uniform(*PAUSE_S))  # noqa: S311 — jitter, no secret
        return True


async def _until_free(work: Callable[[], Awaitable[Result]]) -> Result:
    """Do it as often as somebody is in its way, for a minute."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + TRIES_S
    while True:
        try:
            return await work()
        except _PASSING as error:
            if loop.time() >= give_up:
                raise DatabaseUnavailableError(f"rows stayed in use for {TRIES_S:g} seconds: {error}") from error
        await asyncio.sleep(random.uniform(*PAUSE_S))  # noqa: S311 — jitter, no secret
