"""How large headrace's commits are, so that what it is held against commits as much at a time."""

from __future__ import annotations

from benchmarks.arena import Arena
from benchmarks.stages import BATCH_ROWS


class GroupSize:
    """The mean size of the service's groups since this was made, in whole batches."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._rows, self._groups = self._read()

    def _read(self) -> tuple[float, float]:
        service = self._arena.service
        return service.metric("headrace_group_rows_sum"), service.metric("headrace_group_rows_count")

    def rows(self) -> int:
        """Return the mean number of rows in a group; a batch's before there was any."""
        rows, groups = self._read()
        if groups == self._groups:
            return BATCH_ROWS
        mean = (rows - self._rows) / (groups - self._groups)
        return max(1, round(mean / BATCH_ROWS)) * BATCH_ROWS
