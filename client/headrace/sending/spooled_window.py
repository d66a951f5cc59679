"""A window whose batches are on disk, too: what memory does not hold waits there for its turn.

1. Sealing appends to the store before anything else; the batch is held in memory as well while there is space, and
   from the first that is not, all that follow wait on disk alone, so that their order stays.
2. As acks make space, the next batches are read back. For one that is damaged or missing an empty one goes under its
   seq: seqs have no gaps, and no other row pays for it. What was lost is told with the empty one's ack.
3. What is acknowledged is forgotten. All the rest is there when the process is not, for the next one.

A full store is a full window: the sealer waits (until the client is closed), the buffer fills, and its policy
speaks. A full disk is one, too, but that the batches that memory can hold go on, with nothing on disk, and a warning.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence

from headrace import lifetime
from headrace.encoding import wire
from headrace.errors import ClosedError, HeadraceError
from headrace.sending.window import Receipt, SealedBatch, Window, sealed, stand_in
from headrace.spool.store import SpoolDamagedError, SpooledBatch, SpoolFullError, SpoolStore

_STILL_S = 5.0


class SpooledWindow(Window):
    """Sealed, unacknowledged batches of one producer, in memory and on disk.

    Args:
        max_bytes: Bound of the bytes in memory.
        store: Where the batches are kept.
        receipt_of: Makes a receipt of a serialized batch that has been on disk alone.
        lost: Counts the rows of a batch that cannot be read back, as far as they are known, and says who tells of it.
        on_trouble: Told what is wrong with the spool; with the lock held.

    Attributes:
        waiting_rows: Rows on disk alone, as far as they are known.
        unspooled_rows: Rows in memory alone, since the disk was full.
    """

    def __init__(
        self,
        max_bytes: int,
        store: SpoolStore,
        receipt_of: Callable[[bytes], Receipt],
        lost: Callable[[SpoolDamagedError, int, Receipt | None], Receipt],
        on_trouble: Callable[[HeadraceError], object],
    ) -> None:
        super().__init__(max_bytes)
        self.store = store
        self.next_seq = store.next_seq
        self._next_waiting = store.first_seq
        # Of batches on disk alone: their rows as far as they are known, and who waits for them.
        self._rows_waiting: deque[int] = deque(itertools.repeat(0, self._waiting))
        self.waiting_rows = 0
        self._awaited: dict[int, Receipt] = {}
        self._unspooled: dict[int, int] = {}
        self._receipt_of = receipt_of
        self._lost = lost
        self._is_still = False
        self._on_trouble = on_trouble
        with self.changed:
            self._read_back()
        lifetime.still_over_forks(self)

    def hold_still(self) -> None:
        """Let nobody touch the store while the process forks: SQLite is not to be copied in the middle of a change."""
        self._is_still = self.changed.acquire(timeout=_STILL_S)

    def go_on(self) -> None:
        """It has forked."""
        if self._is_still:
            self.changed.release()

    @property
    def unspooled_rows(self) -> int:
        """Rows in memory alone, since the disk was full."""
        return sum(self._unspooled.values())

    @property
    def _waiting(self) -> int:
        """Batches on disk alone."""
        return self.next_seq - self._next_waiting

    def _place(self, body: bytes, rows: int, receipt: Receipt) -> bool:
        # Even a session that is over keeps its rows: the next process may have the key that this one lacks.
        fits = not self._waiting and self.has_space(len(body))
        if not self.store.has_room(len(body)):
            return self._wait_for_room()
        batch = wire.with_seq(body, self.next_seq)
        try:
            self.store.append(SpooledBatch(self.next_seq, rows, batch))
        except SpoolFullError as error:
            self._on_trouble(error)
            if not fits or self.failure is not None:
                return self._wait_for_room()
            self._unspooled[self.next_seq] = rows
        if fits:
            self._hold(sealed(self.next_seq, batch, rows, receipt))
            self._next_waiting += 1
        else:
            self._rows_waiting.append(rows)
            self.waiting_rows += rows
            if receipt.is_awaited:
                self._awaited[self.next_seq] = receipt
        return True

    def _wait_for_room(self) -> bool:
        """Have the caller wait, unless the client is closed: then no room will come."""
        if self.closing:
            raise self.failure or ClosedError("the client was closed before there was room in the spool")
        return False

    def belongs_to(self, project: str) -> None:
        """Note whose the batches are. Lock held."""
        self.store.belongs_to(project)

    def settle(self, through_seq: int) -> None:
        """Take out the batches up to `through_seq`, here and on disk, and read the next ones back. Lock held."""
        super().settle(through_seq)
        for seq in [seq for seq in self._unspooled if seq <= through_seq]:
            del self._unspooled[seq]
        self.store.forget_through(through_seq)
        self._read_back()

    def unsettled(self, through_seq: int) -> tuple[int, int]:
        """Return rows and batches without an ack up to `through_seq`."""
        rows, batches = super().unsettled(through_seq)
        with self.changed:
            waiting = through_seq + 1 - self._next_waiting
            return (rows + self.waiting_rows, batches + waiting) if waiting > 0 else (rows, batches)

    def fail(self, error: HeadraceError) -> Sequence[SealedBatch]:
        """End the window for good; those who wait for batches on disk alone are told, too."""
        failed = super().fail(error)
        with self.changed:
            awaited, self._awaited = self._awaited, {}
            rows_of = {seq: self._rows_waiting[seq - self._next_waiting] for seq in awaited}
        return [*failed, *(SealedBatch(seq, b"", 0, rows_of[seq], receipt) for seq, receipt in awaited.items())]

    def _read_back(self) -> None:
        """Fill half of the memory with the next batches. Lock held."""
        while self._waiting and (not self._batches or self.bytes < self.max_bytes // 2):
            seq = self._next_waiting
            spooled = self.store.read(seq)
            receipt, rows = self._awaited.pop(seq, None), self._rows_waiting.popleft()
            self.waiting_rows -= rows
            if spooled is None:
                error = SpoolDamagedError(f"batch {seq} of producer {self.store.producer_id} is damaged or missing")
                self._hold(stand_in(seq, self._lost(error, rows, receipt)))
            else:
                self._hold(sealed(seq, spooled.body, spooled.rows, receipt or self._receipt_of(spooled.body)))
            self._next_waiting += 1
