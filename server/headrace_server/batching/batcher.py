"""Where validated batches wait for a copier: a queue a producer, taken from in turn.

The conversation:
1. A session puts a batch in (`put`, never blocks: memory was reserved before the batch was read).
2. A copier that becomes free takes everything waiting, up to a bound (`take`), producers in turn, each producer's
   batches in order. So groups grow exactly while the database is busy, and an idle service answers at once.
3. A copier that cannot commit a batch yet keeps its producer back (`hold`): later batches of it wait, all other
   producers go on. `give_back` returns batches to the front of their queues; `release` lets the producer go on.

The queues are bounded by the admission budget, not here: whatever is in them has been paid for.
"""

import asyncio
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator
from itertools import chain

from headrace_server.batching.batch import Origin, PendingBatch


class Batcher:
    """Batches waiting for one copier."""

    def __init__(self, max_rows: int, max_bytes: int) -> None:
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._queues: OrderedDict[Origin, deque[PendingBatch]] = OrderedDict()
        self._held: dict[Origin, deque[PendingBatch]] = {}
        self._holders: Counter[Origin] = Counter()
        self._arrived = asyncio.Event()
        self._closed: Exception | None = None
        self.waiting_batches = 0

    def __iter__(self) -> Iterator[PendingBatch]:
        """Everything that waits."""
        return chain.from_iterable((*self._queues.values(), *self._held.values()))

    def put(self, batch: PendingBatch) -> None:
        """Queue a batch behind its producer's others; fails it where nobody takes batches any more."""
        if self._closed is not None:
            batch.fail(self._closed)
            return
        self.waiting_batches += 1
        held = self._held.get(batch.origin)
        if held is not None:
            held.append(batch)
            return
        self._queues.setdefault(batch.origin, deque()).append(batch)
        self._arrived.set()

    async def take(self) -> list[PendingBatch]:
        """Wait until something is there, then take all of it up to the bounds; at least one batch."""
        while not self._queues:
            self._arrived.clear()
            await self._arrived.wait()
        group: list[PendingBatch] = []
        rows = size = 0
        while self._queues:
            origin, queue = next(iter(self._queues.items()))
            batch = queue[0]
            if group and (rows + batch.row_count > self._max_rows or size + batch.size_bytes > self._max_bytes):
                break
            queue.popleft()
            if queue:
                self._queues.move_to_end(origin)
            else:
                del self._queues[origin]
            group.append(batch)
            self.waiting_batches -= 1
            rows += batch.row_count
            size += batch.size_bytes
        return group

    def hold(self, origins: Iterable[Origin]) -> None:
        """Keep producers back: their batches stay here until they are released as often as they were held."""
        for origin in origins:
            self._holders[origin] += 1
            self._held.setdefault(origin, self._queues.pop(origin, deque()))

    def give_back(self, batches: Iterable[PendingBatch]) -> None:
        """Put batches that were taken back to where their seq belongs in their producers' queues."""
        returned: dict[Origin, list[PendingBatch]] = defaultdict(list)
        for batch in batches:
            self.waiting_batches += 1
            returned[batch.origin].append(batch)
        for origin, own in returned.items():
            queues = self._held if origin in self._held else self._queues
            queues[origin] = deque(sorted((*own, *queues.get(origin, ())), key=lambda batch: batch.seq))
            self._arrived.set()

    def release(self, origins: Iterable[Origin]) -> None:
        """Let producers go on."""
        for origin in origins:
            self._holders[origin] -= 1
            if self._holders[origin] > 0:
                continue
            del self._holders[origin]
            queue = self._held.pop(origin, None)
            if queue:
                self._queues[origin] = queue
                self._arrived.set()

    def close(self, error: Exception) -> None:
        """Settle everything that waits, and whatever still comes: clients send it again elsewhere."""
        self._closed = error
        for batch in self:
            batch.fail(error)
        self._queues.clear()
        self._held.clear()
        self._holders.clear()
        self.waiting_batches = 0
