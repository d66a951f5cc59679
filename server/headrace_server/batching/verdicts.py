"""What became of each row of a batch, from validation to the commit, and the result its sender is told.

One array of verdicts a batch, in the order of its rows. Validation marks rejections, the landing marks what the
database found; nothing is counted twice since each row has exactly one verdict.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from headrace.v1 import error_reason_pb2, result_pb2
from headrace_server.validation.rejections import Rejections


class Verdict(IntEnum):
    """Outcome of one row. JOINED, PARKED and PENDING are stored rows of late kinds; SKIPPED are outside the sample."""

    STORED = 0
    DUPLICATE = 1
    CONFLICT = 2
    REJECTED = 3
    JOINED = 4
    PARKED = 5
    PENDING = 6
    SKIPPED = 7


Verdicts = npt.NDArray[np.uint8]
# Runs of rows take 2 to 5 bytes each. With 40 scattered faults in a batch of 100,000 rows the answer would be larger
# than a client's limit for a message (4 MiB where it set none), so from here on no row is listed a second time.
MOST_RUNS_REPEATED = 20_000

_STORED = (Verdict.STORED, Verdict.JOINED, Verdict.PARKED, Verdict.PENDING)


@dataclass(frozen=True)
class Refusal:
    """A row the database would not take, found while landing.

    Attributes:
        row: Its index in the batch.
        sqlstate: PostgreSQL's code; empty when the service refused by its own rules.
    """

    row: int
    reason: str
    message: str
    column: str = ""
    sqlstate: str = ""


def result_of(seq: int, verdicts: Verdicts, rejections: Rejections) -> result_pb2.BatchResult:
    """The result a batch is answered with.

    A row with several faults is listed under each, until the answer has become long; from then on under the first only.
    """
    counts = np.bincount(verdicts, minlength=len(Verdict))
    result = result_pb2.BatchResult(
        seq=seq,
        rows=len(verdicts),
        stored=int(sum(counts[verdict] for verdict in _STORED)),
        duplicate=int(counts[Verdict.DUPLICATE]),
        conflict=int(counts[Verdict.CONFLICT]),
        rejected=int(counts[Verdict.REJECTED]),
        joined=int(counts[Verdict.JOINED]),
        parked=int(counts[Verdict.PARKED]),
        pending=int(counts[Verdict.PENDING]),
        skipped=int(counts[Verdict.SKIPPED]),
    )
    listed = np.zeros(rejections.row_count, dtype=np.bool_)
    runs = 0
    for group in rejections.groups:
        errors = result.errors.add(
            reason=error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{group.reason}"),
            column=group.column,
            message=group.message,
        )
        fill_ranges(errors.rows, group.rows if runs < MOST_RUNS_REPEATED else group.rows & ~listed)
        runs += len(errors.rows.starts)
        listed |= group.rows
    for verdict, ranges in (
        (Verdict.DUPLICATE, result.duplicate_rows),
        (Verdict.CONFLICT, result.conflict_rows),
        (Verdict.PARKED, result.parked_rows),
        (Verdict.PENDING, result.pending_rows),
        (Verdict.SKIPPED, result.skipped_rows),
    ):
        if counts[verdict]:
            fill_ranges(ranges, verdicts == verdict)
    return result


def fill_ranges(ranges: result_pb2.RowRanges, rows: npt.NDArray[np.bool_]) -> None:
    """Write the set rows as runs."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], rows, [False])).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    ranges.starts.extend(starts.tolist())
    ranges.lengths.extend((ends - starts).tolist())


def is_plain(result: result_pb2.BatchResult) -> bool:
    """Whether every row was stored and nothing else is to be said: such a result need not be kept or sent."""
    told = result.errors or result.parked or result.pending or result.joined
    return result.stored == result.rows and not told
