"""What the service advises on the shape of batches, as far as the client's settings let it."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.encoding.table import Limits
from headrace.settings import Settings
from headrace.v1 import ingest_service_pb2

_SEQ_BYTES = 11  # tag and varint of the largest seq, added to a body when it is sealed


@dataclass(frozen=True, slots=True)
class Advice:
    """The shape of batches.

    Attributes:
        limits: How large one may be.
        suggested_rows: Rows that seal one before its linger is over.
        linger_s: How long its first row waits for others, in seconds.
    """

    limits: Limits
    suggested_rows: int
    linger_s: float

    @staticmethod
    def of(opened: ingest_service_pb2.Opened, settings: Settings) -> Advice:
        """Return what Opened says."""
        return _within(
            settings,
            max_bytes=opened.max_batch_bytes or 4 * 1024 * 1024,
            max_rows=opened.max_batch_rows or 100_000,
            suggested_rows=opened.suggested_batch_rows or 10_000,
            linger_ms=opened.suggested_linger_ms or 20,
        )

    @staticmethod
    def unasked(settings: Settings) -> Advice:
        """Return what any service would take, for who seals before one has spoken."""
        return _within(settings, max_bytes=1024 * 1024, max_rows=10_000, suggested_rows=10_000, linger_ms=20)


def _within(settings: Settings, *, max_bytes: int, max_rows: int, suggested_rows: int, linger_ms: float) -> Advice:
    return Advice(
        Limits(max_rows, min(max_bytes, settings.batch_bytes or max_bytes) - _SEQ_BYTES),
        min(max_rows, settings.batch_rows or suggested_rows),
        (settings.linger_ms or linger_ms) / 1e3,
    )
