"""The rows of an upload that were refused, by fault: what its job tells, bounded however many there are."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from headrace_server.validation.rejections import MAX_GROUPS, Rejections

ROWS_NAMED = 20


class RowErrors:
    """Counts refused rows and remembers the first of each fault.

    Attributes:
        rejected: Rows refused so far; a row with several faults counts once.
    """

    def __init__(self) -> None:
        self.rejected = 0
        self._faults: dict[tuple[str, str], dict[str, Any]] = {}

    def add(self, rejections: Rejections, source_rows: Sequence[int]) -> None:
        """Count the rows refused of one batch.

        Args:
            rejections: The batch's.
            source_rows: Place in the caller's source of each row of the batch.
        """
        if not rejections:
            return
        self.rejected += int(rejections.mask().sum())
        for group in rejections.groups:
            key = (group.reason, group.column)
            if key not in self._faults and len(self._faults) >= MAX_GROUPS:
                key = next(reversed(self._faults))
            fault = self._faults.setdefault(
                key, {"reason": group.reason, "column": group.column, "message": group.message, "count": 0, "rows": []}
            )
            rows = np.flatnonzero(group.rows)
            fault["count"] += len(rows)
            fault["rows"] += [source_rows[row] for row in rows[: ROWS_NAMED - len(fault["rows"])].tolist()]

    def told(self) -> list[dict[str, Any]]:
        """The faults as the job's result has them."""
        return list(self._faults.values())

    def summary(self) -> str:
        """The first faults in one sentence."""
        faults = self.told()
        named = "; ".join(
            f"{fault['count']} × {fault['reason']}{' in ' + fault['column'] if fault['column'] else ''}"
            f" ({fault['message']}; row {fault['rows'][0] if fault['rows'] else '?'})"
            for fault in faults[:3]
        )
        return named + (f"; and {len(faults) - 3} more faults" if len(faults) > 3 else "")
