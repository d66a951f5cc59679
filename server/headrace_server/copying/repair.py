"""The repair lane: batches whose group failed, one by one, one transaction each, until the bad rows are found.

Only their producers wait meanwhile; all others go on. Within the transaction a batch's rows are tried under savepoints,
halved where they fail, and a single row that still fails becomes a dead letter with PostgreSQL's own words. The search
is bounded: 64 savepoints or 2 seconds, then what is left is dead-lettered UNRESOLVED and can be replayed.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic, perf_counter
from uuid import uuid4

import asyncpg
import numpy as np
import numpy.typing as npt
import structlog

from headrace_server.batching.batch import PendingBatch
from headrace_server.batching.verdicts import Refusal, Verdict
from headrace_server.copying.chunks import ChunkBook
from headrace_server.copying.connection import DATABASE_ERRORS, Connect, Connection
from headrace_server.copying.group import Part, prepare_group
from headrace_server.copying.landing import GroupRows, Landed
from headrace_server.copying.line import Line
from headrace_server.copying.observer import CommitObserver
from headrace_server.copying.parts import commit_in_parts
from headrace_server.copying.settling import settle
from headrace_server.copying.sqlstate import Action, action_for
from headrace_server.copying.transaction import commit_group
from headrace_server.errors import DatabaseUnavailableError, InternalDefectError

log = structlog.get_logger(__name__)

MOST_SAVEPOINTS = 64
LONGEST_SEARCH_S = 2.0
LONGEST_PAUSE_S = 5.0
TRIES = 3  # of what keeps coming back, or is not understood

_UNRESOLVED = Refusal(0, "UNRESOLVED", "the search for this batch's bad rows ran out of its budget; replay the letter")


@dataclass
class Search:
    """The budget of one batch's search for bad rows."""

    savepoints: int = 0
    deadline: float = field(default_factory=lambda: monotonic() + LONGEST_SEARCH_S)

    def spent(self) -> bool:
        """Whether no further try is left."""
        return self.savepoints >= MOST_SAVEPOINTS or monotonic() > self.deadline


class RepairLane:
    """Repairs what a copier hands over. Its queue is as bounded as the batcher's: by the memory that was reserved."""

    def __init__(self, connect: Connect, observer: CommitObserver, chunks: ChunkBook) -> None:
        self._line = Line(connect)
        self._chunks = chunks
        self._observer = observer
        self._queue: asyncio.Queue[tuple[PendingBatch, Callable[[PendingBatch], None]]] = asyncio.Queue()

    def put(self, batches: Sequence[PendingBatch], on_done: Callable[[PendingBatch], None]) -> None:
        """Take batches over; each is settled here, then `on_done` is called with it."""
        for batch in sorted(batches, key=lambda batch: batch.seq):
            self._queue.put_nowait((batch, on_done))

    async def run(self) -> None:
        """Repair until cancelled. What is left then is the copier's to fail: it still counts it as taken."""
        try:
            while True:
                batch, on_done = await self._queue.get()
                await self._repair(batch)
                on_done(batch)
        finally:
            self._line.drop()

    async def _repair(self, batch: PendingBatch) -> None:
        failures: Counter[Action] = Counter()
        while True:
            try:
                await self._commit(batch)
            except DATABASE_ERRORS as error:
                action = action_for(error)
                failures[action] += 1
                if action in {Action.RECONNECT, Action.RECONNECT_ALL, Action.WAIT}:
                    self._observer.database_fails(error)
                    self._line.drop()
                elif failures[action] >= TRIES and action is not Action.RETRY:
                    self._give_up(batch, error)
                    return
                await asyncio.sleep(pause(failures.total()))
            except Exception as defect:
                incident = uuid4().hex
                log.error("batch_failed_by_defect", incident=incident, model=batch.model, exc_info=defect)
                batch.fail(InternalDefectError(f"a defect of the service, in its logs as incident {incident}"))
                return
            else:
                return

    async def _commit(self, batch: PendingBatch) -> None:
        connection = await self._line.ready()
        group = await asyncio.to_thread(prepare_group, [batch])
        begun = perf_counter()
        if await self._chunks.is_too_wide(connection, group):
            committed = await commit_in_parts(connection, batch, self._chunks, search_bad_rows)
        else:
            committed = await commit_group(connection, group, on_claimed=lambda: None, land=search_bad_rows)
        self._chunks.learn(part for part, _ in committed.landed)
        self._observer.committed(batch.row_count, perf_counter() - begun)
        await settle(connection, committed, self._observer)
        if committed.claim.ahead:
            batch.fail(DatabaseUnavailableError("a batch before this one was not committed; open the stream again"))

    def _give_up(self, batch: PendingBatch, error: BaseException) -> None:
        """Not understood: never dead-letter what may be good; the client keeps it and tries again."""
        self._observer.model_stopped(batch.model, error)
        batch.fail(DatabaseUnavailableError(f"the database refuses rows of model {batch.model!r}: {error}"))


def pause(failures: int) -> float:
    """Seconds to wait after so many failures in a row: doubling from 20 ms, with jitter so that replicas part."""
    longest: float = min(LONGEST_PAUSE_S, 0.02 * 2.0 ** min(failures, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


async def search_bad_rows(connection: Connection, part: Part) -> Landed:
    """Land a part's rows under savepoints, halving what fails, within the budget.

    Raises:
        asyncpg.PostgresError: The rows are not to blame.
    """
    landed = Landed.uniform(len(part.rows), Verdict.STORED)
    search = Search()
    spans = [np.arange(len(part.rows))]
    while spans:
        span = spans.pop()
        if search.spent():
            for rest in (span, *spans):
                _refuse(landed, part.rows, rest, _UNRESOLVED)
            break
        search.savepoints += 1
        rows = part.rows.take(span)
        try:
            async with connection.transaction():
                prepared = await asyncio.to_thread(part.landing.prepare, rows)
                tried = await prepared.land(connection)
        except asyncpg.PostgresError as error:
            match action_for(error):
                case Action.PROBE:
                    part.landing.met_unique_violation()
                    spans.append(span)
                case Action.REPAIR | Action.SPLIT if len(span) == 1:
                    why = Refusal(0, "STORAGE_REJECTED", str(error), sqlstate=error.sqlstate or "")
                    _refuse(landed, part.rows, span, why)
                case Action.REPAIR | Action.SPLIT:
                    first, second = np.array_split(span, 2)
                    spans += [second, first]
                case _:
                    raise
        else:
            landed.verdicts[span] = tried.verdicts
            landed.refusals.update((int(span[position]), refusal) for position, refusal in tried.refusals.items())
    return landed


def _refuse(landed: Landed, rows: GroupRows, span: npt.NDArray[np.int64], why: Refusal) -> None:
    landed.verdicts[span] = Verdict.REJECTED
    for position in span.tolist():
        landed.refusals[position] = replace(why, row=int(rows.places[position]))
