"""Frees what a replica holds that is frozen in the middle of a transaction: ledger, inbox, a table being altered.

A stopped process (SIGSTOP, a paused VM) keeps its transaction and its row locks; no timeout of PostgreSQL ends a
backend that waits for its client inside COPY, but pg_terminate_backend does. So whoever waited too long for a lock
looks for holders: backends of other replicas that have written to the ledger, or whose transaction is marked as one
that others wait for (storage/waited_for.py). Their transaction is older than FROZEN_AFTER_S, and they wait for their
client at two looks LOOK_AGAIN_S apart without anything having moved in between. A healthy replica has all bytes in
memory before its COPY starts, so it never looks like that.
"""

import asyncio

import asyncpg
import structlog

from headrace_server.copying.connection import DATABASE_ERRORS, Connection
from headrace_server.copying.line import Line
from headrace_server.storage.waited_for import IS_MARK

FROZEN_AFTER_S = 10
LOOK_AGAIN_S = 1.0

# What moves while a client is alive: its statements, and the bytes of its COPY.
_STILL = f"""
SELECT a.pid, a.application_name, a.xact_start, a.query_start, a.state_change, c.bytes_processed
FROM pg_stat_activity a
LEFT JOIN pg_stat_progress_copy c USING (pid)
WHERE a.application_name LIKE 'headrace/%'
  AND a.application_name <> current_setting('application_name')
  AND a.datname = current_database()
  AND a.wait_event = 'ClientRead'
  AND a.xact_start < clock_timestamp() - make_interval(secs => $1)
  AND EXISTS (
      SELECT FROM pg_locks l
      WHERE l.pid = a.pid AND l.granted AND (
          {IS_MARK}
          OR l.locktype = 'relation'
          AND l.relation IN ('headrace.producers'::regclass, 'headrace.requests'::regclass)
          AND l.mode IN ('RowShareLock', 'RowExclusiveLock')
      )
  )
"""  # noqa: S608 - a constant of ours

log = structlog.get_logger(__name__)


async def look_for_frozen(line: Line) -> None:
    """Free what frozen replicas hold, if any do; a database that is away is found out by the next try anyway."""
    try:
        await free_frozen_locks(await line.ready())
    except DATABASE_ERRORS as error:
        log.info("frozen_replicas_not_looked_for", error=repr(error))


async def free_frozen_locks(connection: Connection) -> int:
    """Terminate backends that hold what others wait for, for a client that has stopped; returns how many.

    Raises:
        asyncpg.PostgresError, OSError: As every statement.
    """
    first = await _standing_still(connection)
    if not first:
        return 0
    await asyncio.sleep(LOOK_AGAIN_S)
    frozen = first & await _standing_still(connection)
    for pid, application, *_ in frozen:
        await connection.execute("SELECT pg_terminate_backend($1)", pid)
        log.warning("frozen_replica_terminated", pid=pid, application=application)
    return len(frozen)


async def _standing_still(connection: Connection) -> set[tuple[object, ...]]:
    rows: list[asyncpg.Record] = await connection.fetch(_STILL, FROZEN_AFTER_S)
    return {tuple(row) for row in rows}
