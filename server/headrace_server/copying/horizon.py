"""The ledger's horizon: what is kept for how long, and the task that forgets the rest.

Results of batches are kept 7 days, unary requests 24 hours, producers 30 days after their last batch, dead letters as
long as the settings say. One replica at a time, in small transactions, so that nobody waits for it. A result that is
forgotten leaves a mark with its producer: a replay is then told that the result has expired, and not that every row was
stored.
"""

import asyncio
from datetime import timedelta

import structlog

from headrace_server.copying.connection import DATABASE_ERRORS, Connect, Connection

log = structlog.get_logger(__name__)

RESULTS_KEPT = timedelta(days=7)
REQUESTS_KEPT = timedelta(hours=24)
PRODUCERS_KEPT = timedelta(days=30)
EVERY = timedelta(minutes=10)
ROWS_AT_A_TIME = 5_000

_TRY_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('headrace.horizon', 0))"
_RESULTS = """
WITH gone AS (
    DELETE FROM headrace.batch_results WHERE (project, producer_id, seq) IN (
        SELECT project, producer_id, seq FROM headrace.batch_results WHERE created_at < now() - $1::interval LIMIT $2
    )
    RETURNING project, producer_id, seq
), marked AS (
    UPDATE headrace.producers p
    SET results_expired_through = greatest(p.results_expired_through, gone_through.seq)
    FROM (
        SELECT l.project, l.producer_id, g.seq FROM headrace.producers l
        JOIN (SELECT project, producer_id, max(seq) AS seq FROM gone GROUP BY project, producer_id) AS g
            USING (project, producer_id)
        ORDER BY l.project, l.producer_id FOR UPDATE OF l  -- in the order of claims, or they deadlock
    ) AS gone_through
    WHERE p.project = gone_through.project AND p.producer_id = gone_through.producer_id
)
SELECT count(*) FROM gone
"""
_REQUESTS = """
WITH gone AS (
    DELETE FROM headrace.requests WHERE (project, request_id) IN (
        SELECT project, request_id FROM headrace.requests WHERE created_at < now() - $1::interval LIMIT $2
    )
    RETURNING 1
)
SELECT count(*) FROM gone
"""
_PRODUCERS = """
WITH gone AS (
    DELETE FROM headrace.producers WHERE (project, producer_id) IN (
        SELECT project, producer_id FROM headrace.producers
        WHERE last_seen_at < now() - $1::interval LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    RETURNING project, producer_id
), reports AS (
    DELETE FROM headrace.producer_reports WHERE (project, producer_id) IN (SELECT project, producer_id FROM gone)
), gaps AS (
    DELETE FROM headrace.seq_gaps WHERE (project, producer_id) IN (SELECT project, producer_id FROM gone)
)
SELECT count(*) FROM gone
"""
_PARTS = """
WITH gone AS (
    DELETE FROM headrace.batch_parts WHERE (project, origin_id, seq, part) IN (
        SELECT project, origin_id, seq, part FROM headrace.batch_parts WHERE created_at < now() - $1::interval LIMIT $2
    )
    RETURNING 1
)
SELECT count(*) FROM gone
"""
_LETTERS = """
WITH gone AS (
    DELETE FROM headrace.dead_letters WHERE id IN (
        SELECT id FROM headrace.dead_letters WHERE created_at < now() - $1::interval LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    RETURNING 1
)
SELECT count(*) FROM gone
"""


class LedgerHorizon:
    """Forgets what is beyond the horizon, now and then.

    Args:
        connect: Opens a connection.
        letters_kept: How long dead letters are kept.
    """

    def __init__(self, connect: Connect, letters_kept: timedelta = timedelta(days=30)) -> None:
        self._connect = connect
        self._steps = (
            ("results", _RESULTS, RESULTS_KEPT),
            ("requests", _REQUESTS, REQUESTS_KEPT),
            ("producers", _PRODUCERS, PRODUCERS_KEPT),
            ("parts", _PARTS, PRODUCERS_KEPT),  # of batches that nobody finished
            ("letters", _LETTERS, letters_kept),
        )

    async def run(self) -> None:
        """Forget until cancelled; an outage of the database only postpones it."""
        while True:
            try:
                await self.forget()
            except DATABASE_ERRORS as error:
                log.info("ledger_horizon_postponed", error=repr(error))
            await asyncio.sleep(EVERY.total_seconds())

    async def forget(self) -> dict[str, int]:
        """Forget what is due now, unless another replica is at it; returns how many rows of each sort."""
        connection = await self._connect()
        try:
            if not await connection.fetchval(_TRY_LOCK):
                return {}
            forgotten = {name: await _forget(connection, sql, kept) for name, sql, kept in self._steps}
        finally:
            await connection.close()
        if any(forgotten.values()):
            log.info("ledger_horizon", **forgotten)
        return forgotten


async def _forget(connection: Connection, sql: str, kept: timedelta) -> int:
    total = 0
    while gone := await connection.fetchval(sql, kept, ROWS_AT_A_TIME):
        total += gone
    return total
