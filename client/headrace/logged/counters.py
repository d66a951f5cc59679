"""Counters of a lane: every row that was given to it is in exactly one of them.

Written by the sealers, the sessions and publish(), read by stats() and by the reports on the stream.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

from headrace.v1 import ingest_service_pb2, result_pb2


class Holding(NamedTuple):
    """What a lane was given, and what of it has no ack.

    Rows that move while it is looked at may stand in two places, never in none.
    """

    logged: int
    """Rows given to the lane."""
    buffered: int
    """Rows that are in no batch yet."""
    in_flight: int
    """Rows in batches without an ack, in memory."""
    spooled: int = 0
    """Rows in batches that wait on disk alone."""


class Counters:
    """Outcomes of rows, counted under one lock; none of it is on the path of log()."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self.published = 0
        self.stored = 0
        self.duplicate = 0
        self.conflict = 0
        self.rejected = 0
        self.skipped = 0
        self.uncounted = 0
        self.quarantined = 0
        self.joined = 0
        self.parked = 0
        self.pending = 0
        self.retried = 0
        self.batches = 0
        self.damaged = 0
        self.dropped: dict[str, int] = {}

    after_fork_in_child = _reset

    def count_published(self, rows: int) -> None:
        """Rows have been taken from a source."""
        with self._lock:
            self.published += rows

    def count_dropped(self, reason: str, rows: int) -> None:
        """Rows were dropped here, by overflow policy or reason."""
        if rows:
            with self._lock:
                self.dropped[reason] = self.dropped.get(reason, 0) + rows

    def count_quarantined(self, rows: int) -> None:
        """Rows of a batch were set aside."""
        with self._lock:
            self.quarantined += rows

    def count_damaged(self) -> None:
        """A batch of the spool, or a whole file of it, cannot be read."""
        with self._lock:
            self.damaged += 1

    def count_retried(self, rows: int) -> None:
        """Rows go out once more."""
        with self._lock:
            self.retried += rows

    def count_settled(self, rows: int, result: result_pb2.BatchResult | None) -> None:
        """A batch of `rows` rows is acknowledged; None means that all are stored."""
        with self._lock:
            self.batches += 1
            if result is None:
                self.stored += rows
            elif result.result_expired:
                self.uncounted += rows
            else:
                self.stored += result.stored
                self.duplicate += result.duplicate
                self.conflict += result.conflict
                self.joined += result.joined
                self.parked += result.parked
                self.pending += result.pending
                # A batch the service could not decode has no counts: all its rows are rejected, with its bytes kept.
                self.rejected += rows - result.stored - result.duplicate - result.conflict - result.skipped
                self.skipped += result.skipped

    @property
    def acked(self) -> int:
        """Rows that are acknowledged, whatever became of them."""
        with self._lock:
            return self.stored + self.duplicate + self.conflict + self.rejected + self.skipped + self.uncounted

    def report(self, holding: Holding) -> ingest_service_pb2.Report:
        """Return what the service is told."""
        with self._lock:
            return ingest_service_pb2.Report(
                logged_rows=holding.logged,
                dropped_rows=dict(self.dropped),
                retried_rows=self.retried,
                quarantined_rows=self.quarantined,
                buffered_rows=holding.buffered,
                in_flight_rows=holding.in_flight,
                spooled_rows=holding.spooled,
            )
