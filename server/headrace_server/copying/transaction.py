"""One transaction for a group, always in the same order: claim, COPY, dead letters and results, advance, COMMIT.

The reason for the order: the ledger is locked before anything is written, so that stale batches leave before the COPY
and not by rolling everybody back; tables are touched by name, so that no two transactions deadlock; the ledger is
advanced last, so that rows and their ledger entry are committed together or not at all.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

import asyncpg
import numpy as np

from headrace.v1 import result_pb2
from headrace_server import failpoints
from headrace_server.batching.batch import DeadLetter, PendingBatch
from headrace_server.batching.verdicts import Refusal, Verdict, Verdicts, result_of
from headrace_server.copying import ledger
from headrace_server.copying.connection import Connection, transaction
from headrace_server.copying.group import Group, Part, prepare_group
from headrace_server.copying.landing import GroupRows, Landed
from headrace_server.copying.touched import HourNote
from headrace_server.dead_letters.letters import letter_of_refusal
from headrace_server.dead_letters.store import mark_replayed, write_letters
from headrace_server.validation.rejections import Rejections


@dataclass(frozen=True)
class Outcome:
    """What became of one batch: its verdicts, and the rows refused while landing beside those refused before."""

    verdicts: Verdicts
    rejections: Rejections
    letters: list[DeadLetter]

    def result(self, batch: PendingBatch) -> result_pb2.BatchResult:
        """The result as the client is told."""
        return result_of(batch.seq, self.verdicts, self.rejections)


@dataclass(frozen=True)
class Committed:
    """A transaction that is durable.

    Attributes:
        claim: Which batches it took and which it left.
        landed: What became of the rows of each part.
        outcomes: What became of each batch it took.
    """

    claim: ledger.Claim
    landed: list[tuple[Part, Landed]]
    outcomes: dict[PendingBatch, Outcome]

    def changed_by(self, rows: GroupRows, landed: Landed) -> dict[PendingBatch, result_pb2.BatchResult]:
        """Results anew for the batches of a part whose verdicts changed after the commit."""
        results = {}
        for batch, own in rows.by_batch():
            outcome = self.outcomes[batch]
            outcome.verdicts[rows.places[own]] = landed.verdicts[own]
            results[batch] = outcome.result(batch)
        return results


Land = Callable[[Connection, Part], Awaitable[Landed]]


async def land_whole(connection: Connection, part: Part) -> Landed:
    """Write a part's rows in one go: what a healthy group does."""
    assert part.prepared is not None  # noqa: S101 - rows that are not made ready are refused, and never come here
    try:
        return await part.prepared.land(connection)
    except asyncpg.UniqueViolationError:
        part.landing.met_unique_violation()
        raise


async def commit_group(
    connection: Connection, group: Group, on_claimed: Callable[[], None], land: Land = land_whole
) -> Committed:
    """Write a group's rows, once.

    Args:
        connection: A connection of the copier's own, with synchronous_commit=on.
        group: The batches with their rows made ready.
        on_claimed: Called once the ledger is locked: the next group may begin, it will wait at the lock.
        land: How a part's rows are written; the repair lane searches while it writes.

    Raises:
        asyncpg.PostgresError, OSError: Nothing was committed, or it is not known whether it was: ask the ledger, by
            trying again, before anything else.
    """
    failpoints.reached("before_begin")
    async with transaction(connection):
        claim = await ledger.claim(connection, group.batches)
        on_claimed()
        for batch in claim.commit:
            batch.attempted = True
        parts = group.parts
        if len(claim.commit) != len(group.batches):
            parts = (await asyncio.to_thread(prepare_group, claim.commit)).parts
        landed = [(part, await land(connection, part)) for part in parts]
        failpoints.reached("after_copy")
        outcomes = await outcomes_of(claim.commit, [(part.rows, result) for part, result in landed])
        await write_outcomes(connection, outcomes, [note for _, result in landed for note in result.notes])
    failpoints.reached("after_commit")
    return Committed(claim, landed, outcomes)


async def write_outcomes(
    connection: Connection, outcomes: dict[PendingBatch, Outcome], notes: Sequence[HourNote] = ()
) -> None:
    """Write everything beside the rows: dead letters, results, and the ledger last, together with the rows' hours."""
    await write_letters(connection, [(batch, outcome.letters) for batch, outcome in outcomes.items()])
    results = [(batch, outcome.result(batch)) for batch, outcome in outcomes.items()]
    await mark_replayed(connection, [(batch, result, outcomes[batch].letters) for batch, result in results])
    await ledger.write_results(connection, results)
    await ledger.advance(connection, results, notes)


async def outcomes_of(
    batches: Sequence[PendingBatch], landed: Sequence[tuple[GroupRows, Landed]]
) -> dict[PendingBatch, Outcome]:
    """Give each batch the verdicts of its rows."""
    verdicts = {batch: batch.verdicts() for batch in batches}
    refusals: dict[PendingBatch, list[Refusal]] = {}
    for rows, result in landed:
        for batch, own in rows.by_batch():
            verdicts[batch][rows.places[own]] = result.verdicts[own]
        for position, refusal in result.refusals.items():
            batch = rows.batches[int(rows.owner[position])]
            refusals.setdefault(batch, []).append(refusal)
    outcomes = {batch: Outcome(verdicts[batch], batch.rejections, batch.letters) for batch in batches}
    for batch, refused in refusals.items():
        outcomes[batch] = await asyncio.to_thread(_with_refusals, batch, verdicts[batch], refused)
    return outcomes


def _with_refusals(batch: PendingBatch, verdicts: Verdicts, refused: Sequence[Refusal]) -> Outcome:
    rejections = batch.rejections.copy()
    add_refusals(rejections, refused)
    verdicts[[refusal.row for refusal in refused]] = Verdict.REJECTED
    return Outcome(verdicts, rejections, [*batch.letters, *(letter_of_refusal(batch, refusal) for refusal in refused)])


def add_refusals(rejections: Rejections, refused: Iterable[Refusal]) -> None:
    """Enter rows that were refused while landing beside those that validation refused."""
    alike: dict[tuple[str, str, str], list[int]] = {}
    for refusal in refused:
        alike.setdefault((refusal.reason, refusal.column, refusal.message), []).append(refusal.row)
    for (reason, column, message), rows in alike.items():
        mask = np.zeros(rejections.row_count, dtype=np.bool_)
        mask[rows] = True
        rejections.add(reason, column, mask, message)
