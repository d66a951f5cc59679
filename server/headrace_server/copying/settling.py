"""After the COMMIT: record kinds follow up, then everybody is answered.

Nothing here can lose a row: they are committed. A follow-up that fails is left to the kind's own maintenance, and the
verdicts stay what they were at the commit, which is true, if less than what could be said.
"""

from contextlib import suppress

import asyncpg
import structlog

from headrace.v1 import result_pb2
from headrace_server.batching.batch import PendingBatch
from headrace_server.copying import ledger
from headrace_server.copying.connection import DATABASE_ERRORS, Connection
from headrace_server.copying.frozen import free_frozen_locks
from headrace_server.copying.group import Part
from headrace_server.copying.landing import Landed
from headrace_server.copying.observer import CommitObserver
from headrace_server.copying.transaction import Committed

log = structlog.get_logger(__name__)


async def settle(connection: Connection, committed: Committed, observer: CommitObserver) -> None:
    """Follow up a commit and settle its batches: the committed, the replayed and the refused; not those ahead."""
    results = {batch: outcome.result(batch) for batch, outcome in committed.outcomes.items()}
    for part, landed in committed.landed:
        before = landed.verdicts.copy()
        await follow_up(connection, part, landed)
        if (before != landed.verdicts).any():
            changed = committed.changed_by(part.rows, landed)
            results.update(changed)
            await _keep(connection, changed)
    for batch, result in results.items():
        observer.settled(batch, result, len(committed.outcomes[batch].letters))
        batch.settle(result)
    for batch, result in committed.claim.replayed:
        if not result.replayed:  # an attempt of ours whose outcome had not been known
            observer.settled(batch, result, len(batch.letters))
        batch.settle(result)
    for batch, refusal in committed.claim.refused:
        batch.fail(refusal)


async def follow_up(connection: Connection, part: Part, landed: Landed) -> None:
    """Let the part's kind do what has to follow the COMMIT; it may change verdicts."""
    try:
        await part.landing.settle(connection, part.rows, landed)
    except DATABASE_ERRORS as error:
        log.warning("follow_up_postponed", table=part.landing.table_key, error=repr(error))
        if isinstance(error, asyncpg.LockNotAvailableError):
            with suppress(*DATABASE_ERRORS):
                await free_frozen_locks(connection)


async def _keep(connection: Connection, changed: dict[PendingBatch, result_pb2.BatchResult]) -> None:
    """Keep what a replay will be told, as far as the database takes it: the results of the commit are true, too."""
    try:
        await ledger.write_results(connection, changed.items())
    except DATABASE_ERRORS as error:
        log.warning("results_not_renewed", error=repr(error))
