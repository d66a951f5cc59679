"""Frees the ledger from a replica that is frozen in the middle of a COPY.

A stopped process (SIGSTOP, a paused VM) keeps its transaction and its row locks; no timeout of PostgreSQL ends a
backend that waits for its client inside COPY, but pg_terminate_backend does. So a transaction that waited too long for
a lock looks for holders: backends of headrace, waiting for their client, their transaction older than FROZEN_AFTER_S.
A healthy replica has all bytes in memory before its COPY starts, so it never looks like that for so long.
"""

import structlog

from headrace_server.copying.connection import Connection

FROZEN_AFTER_S = 10

_TERMINATE = """
SELECT a.pid, a.application_name, pg_terminate_backend(a.pid)
FROM pg_stat_activity a
WHERE a.application_name LIKE 'headrace/%'
  AND a.datname = current_database()
  AND a.pid <> pg_backend_pid()
  AND a.wait_event = 'ClientRead'
  AND a.xact_start < clock_timestamp() - make_interval(secs => $1)
  AND EXISTS (
      SELECT FROM pg_locks l
      WHERE l.pid = a.pid AND l.granted AND l.relation = 'headrace.producers'::regclass AND l.mode = 'RowShareLock'
  )
"""

log = structlog.get_logger(__name__)


async def free_frozen_locks(connection: Connection) -> int:
    """Terminate backends that hold ledger rows for a client that has stopped; returns how many."""
    rows = await connection.fetch(_TERMINATE, FROZEN_AFTER_S)
    for row in rows:
        log.warning("frozen_replica_terminated", pid=row["pid"], application=row["application_name"])
    return len(rows)
