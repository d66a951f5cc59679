"""What copiers report becomes metrics, logs and readiness: the database is away, the database is back.

Told by the copiers on the event loop; never blocks. Readiness is turned by one task (`run`), woken by what was told: a
service that cannot commit is NOT_SERVING for new connections, while the open streams stay and are pushed back.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from time import monotonic

import structlog

from headrace.v1 import error_reason_pb2, result_pb2
from headrace_server.batching.batch import PendingBatch
from headrace_server.ops.metrics import Metrics

log = structlog.get_logger(__name__)

PROBE_EVERY_S = 1.0
QUIET_S = 6.0  # longer than a copier waits before it tries again: then there is nothing to commit that fails
_PREFIX = len("ERROR_REASON_")


class CommitWatch:
    """Observes the copiers of the process (copying/observer.py).

    Args:
        metrics: Where commits are counted.
        set_ready: Says whether calls are welcome.
        probe: Asks the database whether it would take a commit; raises if not.
        on_commit: Called after each commit; must not block.
    """

    def __init__(
        self,
        metrics: Metrics,
        set_ready: Callable[[bool], Awaitable[None]],
        probe: Callable[[], Awaitable[None]],
        on_commit: Callable[[], None],
    ) -> None:
        self._metrics = metrics
        self._set_ready = set_ready
        self._probe = probe
        self._on_commit = on_commit
        self._failed = asyncio.Event()
        self._failed_at = 0.0
        self._committed_since = True

    def committed(self, rows: int, seconds: float) -> None:
        """Count a group."""
        self._committed_since = True
        self._metrics.group_rows.observe(rows)
        self._metrics.copy_duration_seconds.observe(seconds)
        self._on_commit()

    def settled(self, batch: PendingBatch, result: result_pb2.BatchResult, letters: int) -> None:
        """Count what became of a batch's rows."""
        metrics = self._metrics
        metrics.rows_acked.inc(result.stored)
        metrics.rows_duplicate.inc(result.duplicate)
        metrics.rows_conflict.inc(result.conflict)
        metrics.rows_skipped.inc(result.skipped)
        metrics.rows_dead_lettered.inc(letters)
        for errors in result.errors:
            reason = error_reason_pb2.ErrorReason.Name(errors.reason)[_PREFIX:]
            metrics.rows_rejected.labels(reason).inc(sum(errors.rows.lengths))
        for state in ("joined", "parked", "pending"):
            count = getattr(result, state)
            if count:
                metrics.labels.labels(state).inc(count)
        metrics.ack_latency_seconds.observe((datetime.now(UTC) - batch.received_at).total_seconds())

    def database_fails(self, error: BaseException) -> None:
        """The database is away, full or read-only."""
        if not self._failed.is_set():
            log.warning("database_unavailable", error=repr(error))
        self._failed_at = monotonic()
        self._committed_since = False
        self._failed.set()

    def model_stopped(self, tables: str, error: BaseException) -> None:
        """Rows cannot be stored for a reason that is not understood."""
        log.error("model_stopped", tables=tables, error=repr(error), exc_info=error)

    async def run(self) -> None:
        """Turn readiness off when the database fails, and on when it takes commits again; until cancelled.

        An answer alone is not enough: a database whose disk is full answers, too.
        """
        while True:
            await self._failed.wait()
            await self._set_ready(False)
            while True:
                try:
                    await self._probe()
                except Exception as error:  # noqa: BLE001 - whatever it is, the database is not ready
                    log.debug("database_still_unavailable", error=repr(error))
                else:
                    if self._committed_since or monotonic() - self._failed_at > QUIET_S:
                        break
                await asyncio.sleep(PROBE_EVERY_S)
            self._failed.clear()
            await self._set_ready(True)
            log.info("database_available")
