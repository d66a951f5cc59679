"""The resolver: finds the events of late rows that nobody else will find, in sets.

Those are rows whose search ran out of its budget (PENDING), and rows or events whose process ended between their
COMMIT and what follows it. Of all replicas one resolves: it holds an advisory lock as long as it lives, the others wait
to take over. It goes through what has come into the inbox since it last looked, chunk by chunk with all of it at once
(a hash join: 270,000 rows a second, where looking them up one by one makes 5,000), and from time to time through the
whole inbox. What stays there has no event.

It writes in lots, each a short transaction under the model's lock: no ack of a row waits for it long.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from time import monotonic

import asyncpg
import structlog

from headrace_server.copying.connection import DATABASE_ERRORS, Connect, Connection
from headrace_server.errors import DatabaseUnavailableError
from headrace_server.joining import inbox
from headrace_server.joining.chunk_tables import ChunkTable, chunk_tables, events_of
from headrace_server.joining.tables import LateTables
from headrace_server.models.late_tables import late_specs_of
from headrace_server.models.per_revision import PerRevision
from headrace_server.models.registry import Registry

log = structlog.get_logger(__name__)

EVERY_S = 30.0
GATHER_S = 2.0  # after a call, so that what is called for comes as one set
SWEEP_EVERY_S = 600.0
RETRY_S = 5.0
LOCK_TIMEOUT_MS = 2_000
FOUND_AT_ONCE = 2 * inbox.MOVED_AT_ONCE
MOST_CHUNKS_AT_ONCE = 32
LONG_SEARCH_S = 0.5
WORTH_A_VACUUM = 10_000

CHANNEL = "headrace_late"

_SETTINGS = f"SET lock_timeout = {LOCK_TIMEOUT_MS}; SET work_mem = '64MB'"
_LEAD = "SELECT pg_try_advisory_lock(hashtextextended('headrace.labels resolver', 0))"
_MODELS = """
SELECT project, sql_name FROM headrace.models m
WHERE late_kinds <> '{}' OR EXISTS (
    SELECT FROM headrace.model_columns c WHERE c.project = m.project AND c.model = m.sql_name AND c.is_label)
ORDER BY project, sql_name
"""


class Resolver:
    """Resolves while it runs, if no other replica does.

    Args:
        connect: Opens its connection.
        registry: The models.
        every_s: Longest time between two looks at the inboxes.
        gather_s: Time from a call to the look it asked for.
        sweep_every_s: Time after which all that waits is looked for again, and not only what is new.
    """

    def __init__(
        self,
        connect: Connect,
        registry: Registry,
        *,
        every_s: float = EVERY_S,
        gather_s: float = GATHER_S,
        sweep_every_s: float = SWEEP_EVERY_S,
    ) -> None:
        self._connect = connect
        self._registry = registry
        self._every_s = every_s
        self._gather_s = gather_s
        self._sweep_every_s = sweep_every_s
        self._called = asyncio.Event()
        self._ours = False
        self._tables = PerRevision(
            lambda model: [LateTables.of(model, spec) for spec in late_specs_of(model)],
        )
        self._searched: dict[str, int] = {}
        self._swept_at = 0.0

    def wake(self) -> None:
        """Call for a look soon, by this replica or by the one that leads. Never blocks."""
        self._ours = True
        self._called.set()

    async def run(self) -> None:
        """Resolve until cancelled; owned by the caller's TaskGroup. An outage of the database only postpones it."""
        while True:
            try:
                await self._follow_calls()
            except (*DATABASE_ERRORS, DatabaseUnavailableError) as error:
                log.warning("resolver_interrupted", error=repr(error))
            await asyncio.sleep(RETRY_S)

    async def _follow_calls(self) -> None:
        connection = await self._connect()
        try:
            await connection.execute(_SETTINGS)
            await connection.add_listener(CHANNEL, self._on_notify)
            leads = False
            while True:
                if not leads and await connection.fetchval(_LEAD):
                    leads = True
                    self._searched.clear()  # who led before us may have ended in the middle of anything
                ours, self._ours = self._ours, False
                if leads:
                    await self.resolve(connection)
                elif ours:
                    await connection.execute("SELECT pg_notify($1, '')", CHANNEL)
                await self._until_called()
        finally:
            connection.terminate()

    async def _until_called(self) -> None:
        try:
            async with asyncio.timeout(self._every_s):
                await self._called.wait()
        except TimeoutError:
            return
        await asyncio.sleep(self._gather_s)
        self._called.clear()

    def _on_notify(self, *_: object) -> None:
        self._called.set()

    async def resolve(self, connection: Connection) -> None:
        """Look once for what has come into the inboxes; for all that waits where that is due.

        Args:
            connection: Not in a transaction. Of all replicas only one may do this at a time.

        Raises:
            asyncpg.PostgresError, OSError, DatabaseUnavailableError: The connection is lost; what was done stands.
        """
        if monotonic() - self._swept_at > self._sweep_every_s:
            self._searched.clear()
            self._swept_at = monotonic()
        for project, name in await connection.fetch(_MODELS):
            model = await self._registry.get(project, name)
            if model is None:
                continue
            for tables in self._tables(model):
                try:
                    await self._resolve_kind(connection, tables)
                except asyncpg.PostgresError as error:
                    # A chunk was dropped underneath, a lock was not had: the next look tries again, others go on.
                    if connection.is_closed():
                        raise
                    log.warning("late_rows_not_resolved", table=tables.settled.key, error=repr(error))

    async def _resolve_kind(self, connection: Connection, tables: LateTables) -> None:
        last = await connection.fetchval(f"SELECT max(inbox_id) FROM {tables.inbox}")  # noqa: S608 - quoted
        since = self._searched.get(tables.inbox, 0)
        if last is None or last <= since:
            return
        await connection.execute(f"ANALYZE (SKIP_LOCKED) {tables.inbox}")
        moved, at_once = 0, 1
        chunks = await chunk_tables(connection, tables.events)
        while chunks:
            begun = monotonic()
            moved += await _resolve_in(connection, tables, chunks[:at_once], since, last)
            chunks = chunks[at_once:]
            at_once = min(2 * at_once, MOST_CHUNKS_AT_ONCE) if monotonic() - begun < LONG_SEARCH_S else 1
        self._searched[tables.inbox] = last
        if moved:
            log.info("late_rows_resolved", table=tables.settled.key, rows=moved)
        if moved >= WORTH_A_VACUUM:
            await connection.execute(f"VACUUM (SKIP_LOCKED) {tables.inbox}")


async def _resolve_in(
    connection: Connection, tables: LateTables, chunks: Sequence[ChunkTable], since: int, last: int
) -> int:
    """Move rows whose events are in these chunks; returns how many."""
    moved = 0
    while True:
        rows = await connection.fetch(
            f"SELECT i.inbox_id, e.event_time FROM {tables.inbox} i JOIN {events_of(chunks)} e"  # noqa: S608 - quoted
            " ON e.event_id = i.event_id AND (i.event_time IS NULL OR i.event_time = e.event_time)"
            f" WHERE i.inbox_id > {since} AND i.inbox_id <= {last} LIMIT {FOUND_AT_ONCE}"
        )
        met: dict[int, datetime] = {}
        for inbox_id, time in rows:
            met[inbox_id] = max(time, met.get(inbox_id, time))
        await inbox.move(connection, tables, list(met.items()))
        moved += len(met)
        if len(rows) < FOUND_AT_ONCE:
            return moved
