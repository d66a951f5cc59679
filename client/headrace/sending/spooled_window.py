"""A window whose batches are on disk, too: what memory does not hold waits there for its turn.

1. Sealing appends to the store before anything else; the batch is held in memory as well while there is space, and
   from the first that is not, all that follow wait on disk alone, so that their order stays.
2. As acks make space, the next batches are read back. One that is damaged or missing is reported, and an empty one goes
   under its seq: seqs have no gaps, and no other row pays for it.
3. What is acknowledged is forgotten. All the rest is there when the process is not, for the next one.

A full store is a full window: the sealer waits, the buffer fills, and its policy speaks. A full disk is one, too,
but that the batches that memory can hold go on, with nothing on disk, and a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headrace.encoding import wire
from headrace.errors import HeadraceError
from headrace.sending.window import Receipt, SealedBatch, Window, sealed, stand_in
from headrace.spool.store import SpoolDamagedError, SpooledBatch, SpoolFullError, SpoolStore


class SpooledWindow(Window):
    """Sealed, unacknowledged batches of one producer, in memory and on disk.

    Args:
        max_bytes: Bound of the bytes in memory.
        store: Where the batches are kept.
        receipt_of: Makes a receipt of a serialized batch that has been on disk alone.
        on_trouble: Told what is wrong with the spool.

    Attributes:
        waiting_rows: Rows on disk alone, as far as they are known.
        unspooled_rows: Rows in memory alone, since the disk was full.
    """

    def __init__(
        self,
        max_bytes: int,
        store: SpoolStore,
        receipt_of: Callable[[bytes], Receipt],
        on_trouble: Callable[[HeadraceError], object],
    ) -> None:
        super().__init__(max_bytes)
        self.store = store
        self.next_seq = store.next_seq
        self.waiting_rows = 0
        self._next_waiting = store.first_seq
        self._awaited: dict[int, tuple[Receipt, int]] = {}  # of batches on disk alone, with their rows
        self._unspooled: dict[int, int] = {}
        self._receipt_of = receipt_of
        self._on_trouble = on_trouble
        with self.changed:
            self._read_back()

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
            return False
        batch = wire.with_seq(body, self.next_seq)
        try:
            self.store.append(SpooledBatch(self.next_seq, rows, batch))
        except SpoolFullError as error:
            self._on_trouble(error)
            if not fits or self.failure is not None:
                return False
            self._unspooled[self.next_seq] = rows
        if fits:
            self._hold(sealed(self.next_seq, batch, rows, receipt))
            self._next_waiting += 1
        else:
            self.waiting_rows += rows
            if receipt.is_awaited:
                self._awaited[self.next_seq] = receipt, rows
        return True

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
        return [*failed, *(SealedBatch(seq, b"", 0, rows, receipt) for seq, (receipt, rows) in awaited.items())]

    def _read_back(self) -> None:
        """Fill half of the memory with the next batches. Lock held."""
        while self._waiting and (not self._batches or self.bytes < self.max_bytes // 2):
            seq = self._next_waiting
            spooled = self.store.read(seq)
            receipt, rows = self._awaited.pop(seq, (None, 0))
            if spooled is None:
                error = SpoolDamagedError(f"batch {seq} of producer {self.store.producer_id} is damaged or missing")
                self._on_trouble(error)
                self._hold(stand_in(seq))
                if receipt is not None:  # it enters the loss into its books; no window's lock is taken there
                    receipt.failed(SealedBatch(seq, b"", 0, rows, receipt), error, set_aside=True)
            else:
                self.waiting_rows = max(0, self.waiting_rows - spooled.rows)
                self._hold(sealed(seq, spooled.body, spooled.rows, receipt or self._receipt_of(spooled.body)))
            self._next_waiting += 1
