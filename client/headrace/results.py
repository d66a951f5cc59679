"""What became of rows, as a caller reads it.

The service answers in runs of row indexes of one batch; here they are lists of row numbers of the caller's own source
(publish) or of event ids (log).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from headrace.v1 import error_reason_pb2, result_pb2

_REASON_PREFIX = "ERROR_REASON_"


def reason_name(reason: error_reason_pb2.ErrorReason.ValueType) -> str:
    """Return a reason without its prefix; one that this client does not know yet by its number."""
    names = error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_number
    return names[reason].name.removeprefix(_REASON_PREFIX) if reason in names else f"REASON_{reason}"


def rows_of(ranges: result_pb2.RowRanges, source_rows: Sequence[int] | None = None) -> list[int]:
    """Return the rows of `ranges`, one by one; with `source_rows`, the place each has in the source."""
    rows = [
        row for start, length in zip(ranges.starts, ranges.lengths, strict=True) for row in range(start, start + length)
    ]
    return rows if source_rows is None else [source_rows[row] for row in rows]


@dataclass(frozen=True, slots=True)
class RowError:
    """Rows refused for one reason."""

    reason: str
    """Name of error_reason.proto, or of the client's own: UNENCODABLE, ROW_TOO_LARGE."""
    column: str
    """Column at fault; empty when the row as a whole is."""
    message: str
    """What is wrong and what to do, for people."""
    rows: list[int]
    """Row numbers."""


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What became of the rows of one batch, as on_result gets it."""

    model: str
    version: str
    kind: str
    """EVENTS or LABELS."""
    seq: int
    rows: int
    stored: int
    duplicate: int
    conflict: int
    rejected: int
    joined: int
    parked: int
    pending: int
    skipped: int
    """Rows of events outside their model's sample."""
    errors: list[RowError]
    """Why rows were rejected; row numbers are those of the batch."""
    duplicate_rows: list[int]
    conflict_rows: list[int]
    replayed: bool
    """True when the batch had been committed before and was answered with its first result."""
    result_expired: bool
    """True when the service no longer keeps the counts; the good rows are stored once."""
    event_ids: Sequence[object]
    """Event id of each row of the batch."""


@dataclass(slots=True)
class PublishResult:
    """What became of the rows of one publish()."""

    rows: int = 0
    """Rows taken from the source."""
    stored: int = 0
    duplicate: int = 0
    conflict: int = 0
    rejected: int = 0
    """Rows refused by the service, or not encodable here; `errors` names them."""
    uncounted: int = 0
    """Rows of batches whose counts the service no longer keeps; the good ones are stored once."""
    quarantined: int = 0
    """Rows of batches that ended the stream and were set aside."""
    joined: int = 0
    parked: int = 0
    pending: int = 0
    skipped: int = 0
    """Rows of events outside their model's sample."""
    errors: list[RowError] = field(default_factory=list)
    duplicate_rows: list[int] = field(default_factory=list)
    conflict_rows: list[int] = field(default_factory=list)
    parked_rows: list[int] = field(default_factory=list)
    pending_rows: list[int] = field(default_factory=list)
    skipped_rows: list[int] = field(default_factory=list)
    validate_only: bool = False
    """Nothing was written: the verdicts are those the rows would have got."""
    labels: PublishResult | None = None
    """Verdicts of the labels that were split off the events; rows are the same source rows."""
    _id_columns: list[Any] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def event_ids(self) -> list[object]:
        """Event id of each event, made or the source's own, in its order; none that a file or Arrow stream brings."""
        if len(self._id_columns) != 1 or not isinstance(self._id_columns[0], list):
            columns = (each.to_pylist() if hasattr(each, "to_pylist") else each for each in self._id_columns)
            self._id_columns = [list(chain.from_iterable(columns))]
        ids: list[object] = self._id_columns[0]
        return ids

    def add_ids(self, column: Any) -> None:
        """Add the ids of more rows: a sequence, or an Arrow array, which is looked at when somebody asks."""
        self._id_columns.append(column)

    @property
    def unsettled(self) -> int:
        """Rows without a verdict; none but in the result of a PublishTimeout."""
        settled = self.stored + self.duplicate + self.conflict + self.rejected + self.uncounted + self.quarantined
        return max(0, self.rows - settled) + (self.labels.unsettled if self.labels else 0)

    def add(self, result: result_pb2.BatchResult, source_rows: Sequence[int]) -> None:
        """Add the verdicts of one batch."""
        if result.result_expired:
            self.uncounted += len(source_rows)
            return
        self.stored += result.stored
        self.duplicate += result.duplicate
        self.conflict += result.conflict
        self.rejected += result.rejected
        self.joined += result.joined
        self.parked += result.parked
        self.pending += result.pending
        self.skipped += result.skipped
        for errors in result.errors:
            # A batch that could not be decoded names no rows: all of them are meant.
            rows = rows_of(errors.rows, source_rows) or list(source_rows)
            self.add_error(RowError(reason_name(errors.reason), errors.column, errors.message, rows))
        self.duplicate_rows += rows_of(result.duplicate_rows, source_rows)
        self.conflict_rows += rows_of(result.conflict_rows, source_rows)
        self.parked_rows += rows_of(result.parked_rows, source_rows)
        self.pending_rows += rows_of(result.pending_rows, source_rows)
        self.skipped_rows += rows_of(result.skipped_rows, source_rows)

    def add_error(self, error: RowError) -> None:
        """Add refused rows to those refused for the same reason."""
        for known in self.errors:
            if (known.reason, known.column) == (error.reason, error.column):
                known.rows.extend(error.rows)
                return
        self.errors.append(error)


@dataclass(frozen=True, slots=True)
class Stats:
    """Where every row is. `logged` is the sum of the counters from `stored` to `unacked`, and of `dropped`."""

    logged: int
    """Rows given to log(), log_label() and publish()."""
    stored: int
    duplicate: int
    conflict: int
    rejected: int
    """Rows the service refused and keeps as dead letters."""
    uncounted: int
    """Rows of batches committed before, whose counts the service no longer keeps."""
    quarantined: int
    """Rows of batches set aside because they ended the stream."""
    unacked: int
    """Rows without an ack: buffered, being encoded, or sealed."""
    dropped: Mapping[str, int]
    """Rows this client dropped, by overflow policy or reason."""
    joined: int
    parked: int
    pending: int
    buffered: int
    """Of unacked: rows in the buffer."""
    retried: int
    """Rows sent more than once."""
    batches: int
    """Batches acknowledged."""
    skipped: int = 0
    """Rows the service did not keep, since their events are outside their model's sample."""
    spooled: int = 0
    """Of unacked: rows that wait on disk alone. Those in memory are in the spool, too, where there is one."""
    adopted: int = 0
    """Rows that ended processes had left in the spool, acknowledged to this one; not among `logged`."""
    damaged: int = 0
    """Batches of the spool, and whole files of it, that could not be read: this process's and those it adopted."""

    @property
    def dropped_rows(self) -> int:
        """All rows this client dropped."""
        return sum(self.dropped.values())
