"""Batches that ended the stream and were set aside: kept for whoever looks into them, within a bound."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.errors import HeadraceError
from headrace.sending.window import SealedBatch


@dataclass(frozen=True, slots=True)
class QuarantinedBatch:
    """A batch that ended the stream and was set aside."""

    seq: int
    rows: int
    request: bytes
    """Serialized headrace.v1.IngestRequest, for whoever looks into it."""
    error: HeadraceError


class Quarantine:
    """The latest batches that were set aside. Written by the session's thread, read by any.

    Args:
        max_bytes: Bound of their bytes; beyond it the oldest are let go, but never the latest.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._batches: deque[QuarantinedBatch] = deque()

    @property
    def batches(self) -> Sequence[QuarantinedBatch]:
        """The batches, oldest first."""
        return list(self._batches)

    def add(self, batch: SealedBatch, error: HeadraceError) -> None:
        """Keep a batch, and let go of old ones."""
        self._batches.append(QuarantinedBatch(batch.seq, batch.rows, batch.frame, error))
        self._bytes += len(batch.frame)
        while self._bytes > self._max_bytes and len(self._batches) > 1:
            self._bytes -= len(self._batches.popleft().request)
