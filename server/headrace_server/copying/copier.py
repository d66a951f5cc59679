"""The copier: takes groups from its batcher and commits them, one after the other, over two connections.

The conversation, for groups k and k+1:
1. Two committers, a connection each, take turns. Whoever has the turn takes everything that waits from the batcher,
   sorts and encodes it off the loop, begins its transaction and claims the group's producers; then it passes the turn
   on.
2. So while k is copied, k+1 is made ready and waits at k's row locks inside PostgreSQL, to start its COPY the moment k
   is committed; groups of other producers overlap. What arrives meanwhile is left in the batcher, so that k+2 is as
   large as the database is busy: nothing is taken earlier than it can be of use.
3. A group that fails is held: its producers' later batches wait in the batcher, and what k+1 has of them its claim
   finds ahead of their turn and gives back. All other producers go on.
4. Every batch is settled once, whatever happens: by its result, by an error, or by the repair lane.

A connection that breaks at COMMIT leaves the outcome unknown. Nothing is decided then: the same group is tried again,
and its claim says which of its batches are committed.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from time import perf_counter

import structlog

from headrace_server.batching.batch import Origin, PendingBatch
from headrace_server.batching.batcher import Batcher
from headrace_server.copying.chunks import ChunkBook, TooWideError
from headrace_server.copying.connection import DATABASE_ERRORS, Connect
from headrace_server.copying.frozen import look_for_frozen
from headrace_server.copying.group import Group, prepare_group, table_of
from headrace_server.copying.line import Line
from headrace_server.copying.observer import CommitObserver
from headrace_server.copying.repair import TRIES, RepairLane, pause
from headrace_server.copying.settling import settle
from headrace_server.copying.sqlstate import Action, action_for
from headrace_server.copying.stopped_tables import StoppedTables
from headrace_server.copying.transaction import commit_group
from headrace_server.copying.turn import Claimed, Turn
from headrace_server.errors import DatabaseUnavailableError

log = structlog.get_logger(__name__)

COMMITTERS = 2
PREPARED_INLINE_ROWS = 64  # half a millisecond; the way to a thread and back costs as much
MOST_GIVEN_BACK = 20  # then the batch before it is not in this process, and the client has to say what it has


class Copier:
    """Commits what waits in one batcher."""

    def __init__(self, batcher: Batcher, connect: Connect, observer: CommitObserver, chunks: ChunkBook) -> None:
        self._batcher = batcher
        self._observer = observer
        self._chunks = chunks
        self._stopped_tables = StoppedTables()
        self._lane = RepairLane(connect, observer, chunks, self._stopped_tables, on_done=self._repaired)
        self._lines = [Line(connect) for _ in range(COMMITTERS)]
        self._turn = asyncio.Lock()
        self._taken: set[PendingBatch] = set()
        self._stopping = False

    async def run(self) -> None:
        """Commit until cancelled. Leaves no batch unsettled and no connection open."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._lane.run())
                for line in self._lines:
                    tasks.create_task(self._commit_in_turn(line))
                try:
                    await asyncio.Future()  # until cancelled, by the service or by a task that failed
                finally:
                    self._stop()
        finally:
            stopped = DatabaseUnavailableError("the service stopped before the batch was settled; send it again")
            for batch in self._taken:
                batch.fail(stopped)
            self._taken.clear()
            self._batcher.close(stopped)

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not self._taken and not self._batcher.waiting_batches

    @property
    def unsettled(self) -> Iterator[PendingBatch]:
        """Every batch that waits or is under way."""
        return chain(self._taken, self._batcher)

    def _stop(self) -> None:
        """Let go of the connections first: a task that is cancelled must not wait for a server that is frozen.

        It may then meet the broken connection instead of its cancellation: `_stopping` ends it either way.
        """
        self._stopping = True
        self._lane.stop()
        for line in self._lines:
            line.drop()

    async def _next_group(self) -> Group | None:
        """Take what waits and make it ready; None where nothing of it can be committed."""
        batches = await self._batcher.take()
        self._taken.update(batches)
        batches = self._without_stopped(batches)
        return await self._prepared_from(batches) if batches else None

    async def _prepared_from(self, batches: Sequence[PendingBatch]) -> Group | None:
        """Make a group ready, or have its batches looked at one by one where that shows a defect."""
        try:
            if sum(len(batch.places) for batch in batches) <= PREPARED_INLINE_ROWS:
                return prepare_group(batches)
            return await asyncio.to_thread(prepare_group, batches)
        except Exception as defect:
            log.error("group_not_prepared", exc_info=defect)
            self._hand_to_lane(batches)
            return None

    def _without_stopped(self, batches: Sequence[PendingBatch]) -> list[PendingBatch]:
        """Refuse batches for tables that are stopped; returns the others."""
        going_on = []
        for batch in batches:
            table = table_of(batch)
            why = self._stopped_tables.why(table) if table is not None else None
            if why is None:
                going_on.append(batch)
            else:
                batch.fail(DatabaseUnavailableError(why))
                self._taken.discard(batch)
        return going_on

    async def _commit_in_turn(self, line: Line) -> None:
        while not self._stopping:
            turn = await Turn.wait_for(self._turn)
            try:
                if (group := await self._next_group()) is not None:
                    await self._see_through(line, group, turn)
            finally:
                turn.pass_on()

    async def _see_through(self, line: Line, group: Group, turn: Turn) -> None:
        """Commit a group, or hand its batches to whoever can settle them."""
        origins = _origins(group.batches)
        failures: Counter[Action] = Counter()
        left: Group | None = group
        while left is not None and not self._stopping:
            group, left, claimed = left, None, Claimed(turn)
            try:
                await self._commit(line, group, claimed)
            except (*DATABASE_ERRORS, TooWideError) as error:
                if not failures:
                    self._batcher.hold(origins)
                turn.pass_on()
                left = await self._after_failure(line, group, error, failures, has_claimed=bool(claimed))
            except Exception as defect:
                log.error("group_not_committed", exc_info=defect)
                self._hand_to_lane(group.batches)
        if failures:
            self._batcher.release(origins)

    async def _after_failure(
        self, line: Line, group: Group, error: BaseException, failures: Counter[Action], *, has_claimed: bool
    ) -> Group | None:
        """Do what an error asks for; returns the group to try again, or None when its batches are in other hands."""
        action = Action.SPLIT if isinstance(error, TooWideError) else action_for(error)
        failures[action] += 1
        # A duplicate run meets PROBE once in a hundred groups, which is nothing to tell.
        say = log.debug if action is Action.PROBE else log.info
        say("commit_failed", action=action.name, failures=failures[action], error=repr(error))
        if action is Action.RETRY and not has_claimed:
            # It waits for a group before it, of this replica or another: taken apart it would wait no less.
            failures[action] = min(failures[action], TRIES)
        match action:
            case Action.PROBE if failures[action] <= TRIES:
                return await self._prepared_from(group.batches)
            case Action.SPLIT | Action.SLOW if len(group.batches) > 1:
                await self._split(line, group)
                return None
            case Action.REPAIR | Action.SPLIT | Action.DEFECT:
                self._hand_to_lane(group.batches)
                return None
            case Action.PROBE | Action.RETRY | Action.RELOAD | Action.STOP if failures[action] > TRIES:
                # The lane looks at each batch alone; what it does not understand either, it gives up on.
                self._hand_to_lane(group.batches)
                return None
        await self._recover(line, action, error, failures)
        return group

    async def _commit(self, line: Line, group: Group, on_claimed: Callable[[], None]) -> None:
        connection = await line.ready()
        if await self._chunks.is_too_wide(connection, group):
            raise TooWideError
        begun = perf_counter()
        committed = await commit_group(connection, group, on_claimed)
        self._observer.committed(sum(len(part.rows) for part in group.parts), perf_counter() - begun)
        self._chunks.learn(part for part, _ in committed.landed)
        await settle(connection, committed, self._observer)
        self._taken.difference_update(group.batches)
        self._give_back(committed.claim.ahead)

    async def _recover(self, line: Line, action: Action, error: BaseException, failures: Counter[Action]) -> None:
        """Do what an error asks for before the same group is tried again."""
        match action:
            case Action.RECONNECT | Action.SLOW:
                self._observer.database_fails(error)
                line.drop()
            case Action.RECONNECT_ALL:
                self._observer.database_fails(error)
                for each in self._lines:
                    each.drop()
            case Action.WAIT:
                self._observer.database_fails(error)
            case Action.RELOAD | Action.STOP:
                line.drop()
            case Action.RETRY if failures[action] > 1:
                await look_for_frozen(line)
            case _:
                pass
        await asyncio.sleep(pause(failures.total()))

    async def _split(self, line: Line, group: Group) -> None:
        """Commit half of the group at a time."""
        ordered = sorted(group.batches, key=lambda batch: batch.seq)
        middle = len(ordered) // 2
        for half in (ordered[:middle], ordered[middle:]):
            if (prepared := await self._prepared_from(half)) is not None:
                await self._see_through(line, prepared, Turn.none())

    def _hand_to_lane(self, batches: Iterable[PendingBatch]) -> None:
        """Give batches to the repair lane; their producers are held until the last of their batches is settled."""
        batches = list(batches)
        self._batcher.hold(batch.origin for batch in batches)  # one hold a batch: released as each is settled
        self._lane.put(batches)

    def _repaired(self, batch: PendingBatch) -> None:
        """The lane is done with a batch: it is settled, or it was ahead of its turn."""
        self._taken.discard(batch)
        if not batch.settled.done():
            self._give_back([batch])
        self._batcher.release([batch.origin])

    def _give_back(self, batches: Iterable[PendingBatch]) -> None:
        """Put batches that came before their turn back to where they belong in the queue."""
        waiting = []
        for batch in batches:
            batch.given_back += 1
            if batch.abandoned or batch.given_back > MOST_GIVEN_BACK:
                batch.fail(DatabaseUnavailableError("a batch before this one is missing; open the stream again"))
            else:
                waiting.append(batch)
        self._batcher.give_back(waiting)


def _origins(batches: Iterable[PendingBatch]) -> set[Origin]:
    return {batch.origin for batch in batches}
