"""The result of a batch while its rows are looked at, one by one."""

from __future__ import annotations

from collections.abc import Iterable

from headrace.testing.rejection import Rejection
from headrace.v1 import result_pb2


class Verdicts:
    """Verdicts of one batch.

    Args:
        seq: Its seq.
        rows: How many rows it holds.
    """

    def __init__(self, seq: int, rows: int) -> None:
        self._result = result_pb2.BatchResult(seq=seq, rows=rows)
        self._duplicates: list[int] = []
        self._conflicts: list[int] = []
        self._parked: list[int] = []
        self._rejected: dict[Rejection, list[int]] = {}

    def store(self) -> None:
        """A row is stored."""
        self._result.stored += 1

    def join(self) -> None:
        """A stored late row has its event."""
        self._result.joined += 1

    def park(self, index: int) -> None:
        """A stored late row waits for its event."""
        self._parked.append(index)

    def reject(self, index: int, rejection: Rejection) -> None:
        """A row is refused."""
        self._rejected.setdefault(rejection, []).append(index)

    def repeat(self, index: int, *, conflict: bool) -> None:
        """A row was there before: the same, or another under its key."""
        (self._conflicts if conflict else self._duplicates).append(index)

    def result(self) -> result_pb2.BatchResult:
        """Return what the client is told."""
        result = self._result
        result.duplicate, result.conflict, result.parked = map(len, (self._duplicates, self._conflicts, self._parked))
        result.rejected = sum(map(len, self._rejected.values()))
        for rejection, rows in self._rejected.items():
            errors = result.errors.add(reason=rejection.reason, column=rejection.column, message=rejection.message)
            errors.rows.CopyFrom(ranges_of(rows))
        for ranges, rows in (
            (result.duplicate_rows, self._duplicates),
            (result.conflict_rows, self._conflicts),
            (result.parked_rows, self._parked),
        ):
            if rows:
                ranges.CopyFrom(ranges_of(rows))
        return result


def undecodable(seq: int, rows: int, message: str) -> result_pb2.BatchResult:
    """Return the result of a batch that contradicts itself."""
    result = result_pb2.BatchResult(seq=seq, rejected=rows)
    result.errors.add(reason=Rejection.of("UNDECODABLE").reason, message=message)
    return result


def ranges_of(rows: Iterable[int]) -> result_pb2.RowRanges:
    """Return ascending row indexes as runs."""
    ranges = result_pb2.RowRanges()
    for row in rows:
        if ranges.starts and row == ranges.starts[-1] + ranges.lengths[-1]:
            ranges.lengths[-1] += 1
        else:
            ranges.starts.append(row)
            ranges.lengths.append(1)
    return ranges
