"""The bound on memory: every byte between the socket and the commit is reserved.

The bound is enforced by not reading, and by not taking apart what has been read:
1. A stream posts its next read only once it holds a reservation from the *reading* budget, as large as its largest
   recent message (a new stream's: FIRST_BYTES). Streams that must wait stand in one queue, first come first served, and
   are not refused. What the message really has is charged when it is there; while the budget is overdrawn nobody reads.
2. The message stays as it came until the *batches'* budget has room for all that will be made of it. What it held of
   the reading budget is given back then, and the next stream reads.

Two budgets and not one, so that messages that wait can never keep each other from being taken apart: whatever has room
in the second is committed and gives it back. A stream that is silent for a moment gives nearly all of its reservation
back: thousands of idle streams must not starve a busy one. Their reads stay posted, though, and gRPC cannot take one
back: if they all speak in one moment, a message of each is in memory beyond the budget, as it came.
"""

import asyncio
from collections import deque
from contextlib import suppress

FIRST_BYTES = 64 * 1024
SMALLEST_BYTES = 16 * 1024
SILENT_BYTES = 4 * 1024
SILENCE_S = 0.25
READING_SHARE = 0.25  # of the memory for batches: what may be read and not yet taken apart


class MemoryBudget:
    """Bytes that may be in memory at once."""

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self.used_bytes = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def reserve(self, size_bytes: int) -> "Reservation":
        """Wait for memory, behind everybody who waits already. More than the whole budget is had alone."""
        if self._waiting or not self._fits(size_bytes):
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((size_bytes, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.cancelled():
                    with suppress(ValueError):  # between the cancelling and this line a waking may have forgotten it
                        self._waiting.remove((size_bytes, turn))
                    self._wake()
                else:  # granted in the same moment
                    self.charge(-size_bytes)
                raise
        else:
            self.used_bytes += size_bytes
        return Reservation(self, size_bytes)

    def charge(self, difference: int) -> None:
        """Take or give bytes without waiting; taking may overdraw the budget, giving lets others go on."""
        self.used_bytes += difference
        if difference < 0:
            self._wake()

    def _fits(self, size_bytes: int) -> bool:
        return self.used_bytes + size_bytes <= self.total_bytes or self.used_bytes <= 0

    def _wake(self) -> None:
        """Grant memory from the head of the queue, and forget those there who were cancelled and do not know it yet."""
        while self._waiting and (self._waiting[0][1].done() or self._fits(self._waiting[0][0])):
            size_bytes, turn = self._waiting.popleft()
            if not turn.done():
                self.used_bytes += size_bytes
                turn.set_result(None)


class Reservation:
    """Bytes held from the budget until they are released."""

    def __init__(self, budget: MemoryBudget, size_bytes: int) -> None:
        self._budget = budget
        self.size_bytes = size_bytes

    def resize(self, size_bytes: int) -> None:
        """Hold so much from now on."""
        difference, self.size_bytes = size_bytes - self.size_bytes, size_bytes
        self._budget.charge(difference)

    def release(self) -> None:
        """Hold nothing; safe to say twice."""
        self.resize(0)


class ReadAllowance:
    """What one stream reserves before each of its reads, from the reading budget."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._expected_bytes = FIRST_BYTES

    async def before_read(self) -> "PostedRead":
        """Wait until the stream may read its next message."""
        return PostedRead(await self._budget.reserve(self._expected_bytes))

    def learn(self, size_bytes: int) -> None:
        """Remember how large a message was: large ones at once, small ones by and by."""
        self._expected_bytes = max(SMALLEST_BYTES, size_bytes, self._expected_bytes // 2)


class PostedRead:
    """The reservation of a read that is under way; shrinks while the stream is silent."""

    def __init__(self, reservation: Reservation) -> None:
        self.reservation = reservation
        loop = asyncio.get_running_loop()
        self._silence = loop.call_later(SILENCE_S, self._shrink)

    def arrived(self, size_bytes: int) -> None:
        """The message is there, and so large; said again with 0 when nothing of it is left."""
        self._silence.cancel()
        self.reservation.resize(size_bytes)

    def _shrink(self) -> None:
        if self.reservation.size_bytes > SILENT_BYTES:
            self.reservation.resize(SILENT_BYTES)
