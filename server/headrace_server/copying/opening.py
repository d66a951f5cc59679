"""A session's entry in the ledger: its epoch, and what of its producer is committed.

Opening waits for the transaction that commits the producer's last batches, here or on another replica: only then is it
known where the client resumes. A replica that is frozen in that transaction is freed from it (copying/frozen.py).
"""

from dataclasses import dataclass

import asyncpg

from headrace_server.batching.batch import Producer
from headrace_server.copying.connection import Connection, transaction
from headrace_server.copying.frozen import free_frozen_locks

LARGEST_SEQ = 2**62  # half of what PostgreSQL's bigint holds: whatever a client says, its next seqs fit
LOCK_WAIT_S = 2.0
TRIES = 6

_OPEN = """
INSERT INTO headrace.producers AS p (project, producer_id, epoch, last_seq, results_expired_through, client)
VALUES ($1, $2, 1, $3, $3, $4)
ON CONFLICT (project, producer_id) DO UPDATE
SET epoch = p.epoch + 1, last_seq = greatest(p.last_seq, $3), client = $4, last_seen_at = now(),
    results_expired_through = greatest(p.results_expired_through, $3)
RETURNING epoch, last_seq, coalesce((
    SELECT b.last_seq FROM headrace.producers b WHERE b.project = $1 AND b.producer_id = $2
), 0) AS before
"""
_NOTE_GAP = """
INSERT INTO headrace.seq_gaps (project, producer_id, from_seq, through_seq) VALUES ($1, $2, $3, $4)
ON CONFLICT (project, producer_id, from_seq) DO NOTHING
"""
# A mark stays with the producer: a replay is told that the result has expired, and not that every row was stored.
_FORGET_RESULTS = """
WITH gone AS (
    DELETE FROM headrace.batch_results WHERE project = $1 AND producer_id = $2 AND seq <= $3 RETURNING seq
)
UPDATE headrace.producers p
SET results_expired_through = greatest(p.results_expired_through, (SELECT max(seq) FROM gone))
WHERE p.project = $1 AND p.producer_id = $2 AND EXISTS (SELECT FROM gone)
"""
FORGET_TIMEOUT_S = 5.0  # the ledger's row may be locked by a commit; the next report says it again


@dataclass(frozen=True)
class Opening:
    """What the ledger says to a session that opens.

    Attributes:
        epoch: The session's epoch; older sessions are fenced from now on.
        last_seq: Batches up to here are never stored again: they are committed, or the client was told that they were.
        committed_seq: Batches up to here are in the database.
    """

    epoch: int
    last_seq: int
    committed_seq: int

    @property
    def regressed(self) -> bool:
        """Whether the database went back in time: what the client was told is stored is not all there."""
        return self.committed_seq < self.last_seq


async def open_session(connection: Connection, producer: Producer, results_through: int, client: str) -> Opening:
    """Begin an epoch for a producer, known or new.

    Args:
        connection: Any connection to the database, not in a transaction.
        producer: Whose session it is.
        results_through: Seq up to which the client has its results; what it has been told is never taken back.
        client: Name and version of the client, for people.

    Raises:
        asyncpg.LockNotAvailableError: The producer's last batches are still being committed.
        asyncpg.PostgresError, OSError: As every statement.
    """
    results_through = min(results_through, LARGEST_SEQ)
    for _ in range(TRIES - 1):
        try:
            return await _open(connection, producer, results_through, client)
        except asyncpg.LockNotAvailableError:
            await free_frozen_locks(connection)
    return await _open(connection, producer, results_through, client)


async def _open(connection: Connection, producer: Producer, results_through: int, client: str) -> Opening:
    async with transaction(connection):
        await connection.execute(f"SET LOCAL lock_timeout = {LOCK_WAIT_S * 1_000:.0f}")
        row = await connection.fetchrow(_OPEN, producer.project, producer.id, results_through, client)
        if results_through:
            await forget_results(connection, producer, results_through)
        if row["before"] < results_through:
            await connection.execute(_NOTE_GAP, producer.project, producer.id, row["before"] + 1, results_through)
    # Before is what was seen when the statement began: too little where a commit was waited for, but never less than
    # what the client had been told of by then, unless that is lost.
    regressed = row["before"] < results_through
    return Opening(row["epoch"], row["last_seq"], row["before"] if regressed else row["last_seq"])


async def forget_results(connection: Connection, producer: Producer, results_through: int) -> None:
    """Drop the results a client says it has; another process may replay them all the same, from the client's spool."""
    through = min(results_through, LARGEST_SEQ)
    await connection.execute(_FORGET_RESULTS, producer.project, producer.id, through, timeout=FORGET_TIMEOUT_S)
