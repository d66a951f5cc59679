"""The repair lane: batches whose group failed, one by one, one transaction each, until the bad rows are found.

Only their producers wait meanwhile; all others go on. A batch's bad rows are searched for inside its transaction
(copying/search.py) and become dead letters with PostgreSQL's own words. A batch that something else keeps from being
committed goes to the end of the queue, so that it holds up nobody whose table is free.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from random import uniform
from time import perf_counter
from uuid import uuid4

import structlog

from headrace_server.batching.batch import PendingBatch
from headrace_server.copying.chunks import ChunkBook
from headrace_server.copying.connection import DATABASE_ERRORS, Connect
from headrace_server.copying.frozen import look_for_frozen
from headrace_server.copying.group import prepare_group, table_of
from headrace_server.copying.line import Line
from headrace_server.copying.observer import CommitObserver
from headrace_server.copying.parts import commit_in_parts
from headrace_server.copying.search import search_bad_rows
from headrace_server.copying.settling import settle
from headrace_server.copying.sqlstate import Action, action_for
from headrace_server.copying.stopped_tables import StoppedTables
from headrace_server.copying.transaction import commit_group
from headrace_server.errors import DatabaseUnavailableError, InternalDefectError

log = structlog.get_logger(__name__)

LONGEST_PAUSE_S = 5.0
TRIES = 3  # of what keeps coming back, or is not understood

# The database's own troubles: they pass, and no batch is to blame.
_TROUBLES = {
    Action.RECONNECT,
    Action.RECONNECT_ALL,
    Action.WAIT,
    Action.SPLIT,
    Action.SLOW,
}


class RepairLane:
    """Repairs what a copier hands over. Its queue is as bounded as the batcher's: by the memory that was reserved.

    Args:
        connect: Opens its connection.
        observer: Told of commits.
        chunks: The chunks that there are.
        stopped_tables: Where it notes a table whose rows it had to give up on.
        on_done: Called with each batch it is done with: settled, or else ahead of its turn.
    """

    def __init__(
        self,
        connect: Connect,
        observer: CommitObserver,
        chunks: ChunkBook,
        stopped_tables: StoppedTables,
        on_done: Callable[[PendingBatch], None],
    ) -> None:
        self._line = Line(connect)
        self._chunks = chunks
        self._observer = observer
        self._stopped_tables = stopped_tables
        self._on_done = on_done
        self._queue: asyncio.Queue[tuple[PendingBatch, Counter[Action]]] = asyncio.Queue()
        self._failures_in_a_row = 0
        self._stopping = False

    def put(self, batches: Sequence[PendingBatch]) -> None:
        """Take batches over."""
        for batch in sorted(batches, key=lambda batch: batch.seq):
            self._queue.put_nowait((batch, Counter()))

    async def run(self) -> None:
        """Repair until cancelled. What is left then is the copier's to fail: it still counts it as taken."""
        while not self._stopping:
            batch, failures = await self._queue.get()
            if await self._repair(batch, failures):
                self._failures_in_a_row = 0
                self._on_done(batch)
            else:
                self._queue.put_nowait((batch, failures))
                self._failures_in_a_row += 1
                await asyncio.sleep(pause(self._failures_in_a_row))

    def stop(self) -> None:
        """Let go of the connection; `run` is cancelled next."""
        self._stopping = True
        self._line.drop()

    async def _repair(self, batch: PendingBatch, failures: Counter[Action]) -> bool:
        """Try a batch once; returns whether the lane is done with it."""
        try:
            await self._commit(batch)
        except DATABASE_ERRORS as error:
            return await self._after_failure(batch, error, failures)
        except Exception as defect:  # noqa: BLE001 - logged with its incident
            self._fail_for(batch, defect)
        return True

    async def _after_failure(self, batch: PendingBatch, error: BaseException, failures: Counter[Action]) -> bool:
        action = action_for(error)
        failures[action] += 1
        log.info("repair_failed", action=action.name, failures=failures[action], error=repr(error))
        if action is Action.DEFECT:
            self._fail_for(batch, error)
            return True
        if action in _TROUBLES:
            self._observer.database_fails(error)
            self._line.drop()
        elif action is Action.RETRY:
            if failures[action] > 1:
                await look_for_frozen(self._line)
        elif failures[action] >= TRIES:
            self._give_up(batch, error)
            return True
        else:
            self._line.drop()
        return False

    async def _commit(self, batch: PendingBatch) -> None:
        group = await asyncio.to_thread(prepare_group, [batch])
        connection = await self._line.ready()
        begun = perf_counter()
        if await self._chunks.is_too_wide(connection, group):
            committed = await commit_in_parts(connection, batch, self._chunks, search_bad_rows)
        else:
            committed = await commit_group(connection, group, on_claimed=lambda: None, land=search_bad_rows)
        self._chunks.learn(part for part, _ in committed.landed)
        self._observer.committed(batch.row_count, perf_counter() - begun)
        await settle(connection, committed, self._observer)

    def _fail_for(self, batch: PendingBatch, defect: BaseException) -> None:
        """A defect of ours harms the batch that shows it, and no other."""
        incident = uuid4().hex
        log.error("batch_failed_by_defect", incident=incident, model=batch.model, exc_info=defect)
        batch.fail(InternalDefectError(f"a defect of the service, in its logs as incident {incident}"))

    def _give_up(self, batch: PendingBatch, error: BaseException) -> None:
        """Not understood: never dead-letter what may be good; the client keeps it and tries again."""
        self._observer.model_stopped(batch.model, error)
        why = f"the database refuses rows of model {batch.model!r}: {error}"
        if (table := table_of(batch)) is not None:
            self._stopped_tables.stop(table, why)
        batch.fail(DatabaseUnavailableError(why))


def pause(failures: int) -> float:
    """Seconds to wait after so many failures in a row: doubling from 20 ms, with jitter so that replicas part."""
    longest: float = min(LONGEST_PAUSE_S, 0.02 * 2.0 ** min(failures, 10))
    return longest * uniform(0.5, 1.0)  # noqa: S311 - no secret
