"""The counters of a lane, told to the service on the stream, so that it can say where every row went."""

from __future__ import annotations

import time
from collections.abc import Callable

from headrace.logged.counters import Counters, Holding
from headrace.v1 import ingest_service_pb2


class Reports:
    """Says when a report is due: when counters have changed since the last, and the interval has passed.

    Args:
        counters: The lane's counters.
        holding: Returns what the lane was given and still has.
        results_through: Returns the seq up to which results have come, so that the service need not keep them.
        interval_s: Least time between two reports, in seconds.
    """

    def __init__(
        self, counters: Counters, holding: Callable[[], Holding], results_through: Callable[[], int], interval_s: float
    ) -> None:
        self._counters = counters
        self._holding = holding
        self._results_through = results_through
        self._interval_s = interval_s
        self._told = b""
        self._told_at = time.monotonic()

    def due(self, last: bool) -> tuple[bytes | None, float]:
        """Return the report when it is due, serialized, and the seconds until the next may be.

        Args:
            last: Whether the stream is about to end: then it is due whenever counters have changed.
        """
        now = time.monotonic()
        left_s = self._told_at + self._interval_s - now
        if left_s > 0 and not last:
            return None, left_s
        self._told_at = now
        report = self._counters.report(self._holding())
        report.results_through = self._results_through()
        request = ingest_service_pb2.IngestRequest(report=report).SerializeToString(deterministic=True)
        if request == self._told:
            return None, self._interval_s
        self._told = request
        return request, 0.0
