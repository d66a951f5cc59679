"""The window: sealed batches of one producer, kept until their ack.

1. A sealer (or publish) seals a batch: it gets its seq and its place here, and waits while the window is full.
2. The stream's writer reads batches by seq and sends them; reading removes nothing.
3. The stream's reader settles batches by an ack, in order; their receipts are told before, without the lock, so that
   who waits for the settling finds everything told.
4. When a stream ends, the next one starts again at the oldest batch here.

One condition, `changed`, guards it all and wakes every waiter: a seal, an ack, a failure, a close. Seqs have no gaps,
since nothing is removed but by settling.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from headrace.deadline import Deadline
from headrace.encoding import wire
from headrace.errors import HeadraceError
from headrace.v1 import result_pb2


class Receipt(Protocol):
    """Who is told what became of a batch. Called without locks held, on the session's thread; must not block."""

    def settled(self, batch: SealedBatch, result: result_pb2.BatchResult | None) -> None:
        """The batch is acknowledged; None means that all rows are stored."""

    def failed(self, batch: SealedBatch, error: HeadraceError, *, set_aside: bool) -> None:
        """There will be no ack: the batch was set aside, or its session is over."""

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for it; else one that is made of the batch tells the same."""


@dataclass(slots=True)
class SealedBatch:
    """A batch with its seq, ready to be sent, and sent again."""

    seq: int
    frame: bytes
    """Serialized IngestRequest."""
    size_bytes: int
    """Bytes of the Batch alone: what credit counts."""
    rows: int
    receipt: Receipt | None
    """None: an empty stand-in for a batch that was set aside."""
    sends: int = 0


class Window:
    """Sealed, unacknowledged batches.

    Args:
        max_bytes: Bound of their bytes. A batch larger than it is let in when it is alone.
    """

    def __init__(self, max_bytes: int) -> None:
        self.changed = threading.Condition(threading.Lock())
        self.max_bytes = max_bytes
        self.next_seq = 1
        self.rows = 0
        self.bytes = 0
        self.failure: HeadraceError | None = None
        self.closing = False
        self._batches: deque[SealedBatch] = deque()

    def __len__(self) -> int:
        return len(self._batches)

    @property
    def oldest_seq(self) -> int:
        """Seq of the oldest batch without an ack; next_seq when there is none. Results are known below it."""
        return self._batches[0].seq if self._batches else self.next_seq

    def seal(self, body: bytes, rows: int, receipt: Receipt, deadline: Deadline) -> int | None:
        """Give a batch its seq and its place; wait for space until `deadline`.

        Returns:
            The seq, or None when the deadline passed.

        Raises:
            HeadraceError: The session is over: `failure`.
        """
        with self.changed:
            while not self._place(body, rows, receipt):
                if not deadline.wait(self.changed):
                    return None
            self.next_seq += 1
            self.changed.notify_all()
            return self.next_seq - 1

    def _place(self, body: bytes, rows: int, receipt: Receipt) -> bool:
        """Take a batch in under `next_seq`; False when it has to wait for space. Lock held."""
        if self.failure is not None:
            raise self.failure
        if not self.has_space(len(body)):
            return False
        self._hold(sealed(self.next_seq, wire.with_seq(body, self.next_seq), rows, receipt))
        return True

    def belongs_to(self, project: str) -> None:
        """The service has named the project of the batches. Lock held."""

    def has_space(self, size_bytes: int) -> bool:
        """Whether a batch of so many bytes may be held now. Lock held."""
        return not self._batches or self.bytes + size_bytes <= self.max_bytes

    def _hold(self, batch: SealedBatch) -> None:
        self._batches.append(batch)
        self.rows += batch.rows
        self.bytes += batch.size_bytes

    def at(self, seq: int) -> SealedBatch | None:
        """Return the batch with this seq, or None when it is not here yet. Lock held."""
        place = seq - self.oldest_seq
        return self._batches[place] if 0 <= place < len(self._batches) else None

    def through(self, seq: int) -> Sequence[SealedBatch]:
        """Return the batches up to `seq`, oldest first; they stay. Lock held."""
        return list(itertools.takewhile(lambda batch: batch.seq <= seq, self._batches))

    def settle(self, through_seq: int) -> None:
        """Take out the batches up to `through_seq` and wake who waits for it. Lock held."""
        while self._batches and self._batches[0].seq <= through_seq:
            batch = self._batches.popleft()
            self.rows -= batch.rows
            self.bytes -= batch.size_bytes
        self.changed.notify_all()

    def set_oldest_aside(self) -> SealedBatch | None:
        """Put an empty batch in place of the oldest one and return that; None when it is a stand-in already."""
        with self.changed:
            if not self._batches or self._batches[0].receipt is None:
                return None
            aside = self._batches[0]
            self._batches[0] = stand_in(aside.seq)
            self.rows -= aside.rows
            self.bytes += self._batches[0].size_bytes - aside.size_bytes
            self.changed.notify_all()
            return aside

    def fail(self, error: HeadraceError) -> Sequence[SealedBatch]:
        """End the window for good; return the batches that will never have an ack. They stay counted here."""
        with self.changed:
            if self.failure is not None:
                return ()
            self.failure = error
            self.changed.notify_all()
            return list(self._batches)

    def wait_settled(self, seq: int, deadline: Deadline) -> bool:
        """Wait until every batch up to `seq` is settled; False when the deadline passed.

        Raises:
            HeadraceError: The session is over: `failure`.
        """
        with self.changed:
            while self.oldest_seq <= seq:
                if self.failure is not None:
                    raise self.failure
                if not deadline.wait(self.changed):
                    return False
            return True

    def unsettled(self, through_seq: int) -> tuple[int, int]:
        """Return rows and batches without an ack up to `through_seq`."""
        with self.changed:
            open_batches = self.through(through_seq)
            return sum(batch.rows for batch in open_batches), len(open_batches)


def sealed(seq: int, batch: bytes, rows: int, receipt: Receipt | None) -> SealedBatch:
    """Return a serialized Batch with its seq, wrapped once and for all its sends."""
    return SealedBatch(seq, wire.enveloped(batch), len(batch), rows, receipt)


def stand_in(seq: int, receipt: Receipt | None = None) -> SealedBatch:
    """Return an empty batch, which takes the place of one that cannot be sent."""
    return sealed(seq, wire.with_seq(b"", seq), 0, receipt)
