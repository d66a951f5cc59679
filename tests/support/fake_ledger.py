"""The fake service's database: a ledger of producers and the rows they stored, in memory.

It keeps what the service promises: seqs without gaps, a batch sent again never adds a row and is answered with its
first result, a newer session fences the older. One lock makes each batch a transaction.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from headrace.v1 import batch_pb2, error_reason_pb2, result_pb2
from support.batch_rows import UndecodableError, rows_of_batch

_LABEL_KEYS = frozenset({"event_id", "event_time", "label_time", "source"})


class Rejection(NamedTuple):
    """Why a rule refuses a row."""

    reason: error_reason_pb2.ErrorReason.ValueType
    column: str
    message: str


Rule = Callable[[dict[str, object]], Rejection | None]


class GapError(Exception):
    """The seq is not the next one."""

    def __init__(self, expected_seq: int) -> None:
        super().__init__(f"expected seq {expected_seq}")
        self.expected_seq = expected_seq


class FencedError(Exception):
    """A newer session has taken over."""


class StoredRow(NamedTuple):
    """A row as it was stored."""

    kind: batch_pb2.RecordKind.ValueType
    model: str
    version: str
    producer_id: str
    seq: int
    cells: dict[str, object]


@dataclass(slots=True)
class Producer:
    """A row of the ledger."""

    epoch: int = 0
    last_seq: int = 0
    results: dict[int, result_pb2.BatchResult] = field(default_factory=dict)


class Ledger:
    """Producers, rows and rules."""

    def __init__(self) -> None:
        self.producers: dict[str, Producer] = {}
        self.rows: list[StoredRow] = []
        self.rules: list[Rule] = []
        self._events: dict[tuple[str, object, object], dict[str, object]] = {}
        self._labels: dict[tuple[object, ...], object] = {}
        self._lock = threading.Lock()

    def open(self, producer_id: str, results_through: int) -> tuple[int, int, bool]:
        """Begin a session; return its epoch, the last committed seq, and whether the ledger went back in time."""
        with self._lock:
            producer = self.producers.setdefault(producer_id, Producer())
            producer.epoch += 1
            last_seq = producer.last_seq
            regressed = results_through > last_seq
            if regressed:  # the client forgot these batches when they were acknowledged: go on behind them
                producer.last_seq = results_through
            producer.results = {seq: r for seq, r in producer.results.items() if seq > results_through}
            return producer.epoch, last_seq, regressed

    def commit(self, producer_id: str, epoch: int, batch: batch_pb2.Batch) -> result_pb2.BatchResult:
        """Store a batch once; return its result.

        Raises:
            FencedError: The session is not the newest.
            GapError: The seq is neither the next nor an old one.
        """
        with self._lock:
            producer = self.producers[producer_id]
            if producer.epoch != epoch:
                raise FencedError
            if batch.seq <= producer.last_seq:
                return self._replayed(producer, batch.seq)
            if batch.seq != producer.last_seq + 1:
                raise GapError(producer.last_seq + 1)
            result = self._store(producer_id, batch)
            producer.last_seq = batch.seq
            producer.results[batch.seq] = result
            return result

    def store_once(self, batch: batch_pb2.Batch) -> result_pb2.BatchResult:
        """Store the batch of a unary call."""
        with self._lock:
            return self._store("", batch)

    def events(self, model: str) -> list[dict[str, object]]:
        """Return the events of a model, in the order they were stored."""
        return self._stored(batch_pb2.RECORD_KIND_EVENTS, model)

    def labels(self, model: str) -> list[dict[str, object]]:
        """Return the label rows of a model, in the order they were stored."""
        return self._stored(batch_pb2.RECORD_KIND_LABELS, model)

    def _stored(self, kind: batch_pb2.RecordKind.ValueType, model: str) -> list[dict[str, object]]:
        with self._lock:
            return [row.cells for row in self.rows if row.kind == kind and row.model == model]

    def _replayed(self, producer: Producer, seq: int) -> result_pb2.BatchResult:
        if seq not in producer.results:
            return result_pb2.BatchResult(seq=seq, replayed=True, result_expired=True)
        replayed = result_pb2.BatchResult()
        replayed.CopyFrom(producer.results[seq])
        replayed.replayed = True
        return replayed

    def _store(self, producer_id: str, batch: batch_pb2.Batch) -> result_pb2.BatchResult:
        verdicts = _Verdicts(batch.seq)
        try:
            rows = rows_of_batch(batch)
        except (UndecodableError, ValueError) as error:
            verdicts.result.rejected = batch.columns.row_count
            verdicts.result.errors.add(reason=error_reason_pb2.ERROR_REASON_UNDECODABLE, message=str(error))
            return verdicts.result
        verdicts.result.rows = len(rows)
        for index, cells in enumerate(rows):
            rejection = next(filter(None, (rule(cells) for rule in self.rules)), None)
            if rejection is not None:
                verdicts.reject(index, rejection)
                continue
            is_label = batch.kind == batch_pb2.RECORD_KIND_LABELS
            if not (
                self._label(verdicts, index, batch, cells) if is_label else self._event(verdicts, index, batch, cells)
            ):
                continue
            verdicts.result.stored += 1
            self.rows.append(StoredRow(batch.kind, batch.model, batch.model_version, producer_id, batch.seq, cells))
        return verdicts.finish()

    def _event(self, verdicts: _Verdicts, index: int, batch: batch_pb2.Batch, cells: dict[str, object]) -> bool:
        """Return whether the event is new; else note its verdict."""
        key = (batch.model, cells.get("event_id"), cells.get("event_time"))
        known = self._events.setdefault(key, cells)
        if known is cells:
            return True
        verdicts.repeat(index, conflict=known != cells)
        return False

    def _label(self, verdicts: _Verdicts, index: int, batch: batch_pb2.Batch, cells: dict[str, object]) -> bool:
        """Return whether the label row is new, and note whether its event is there; else note that it repeats."""
        names = cells.keys() - _LABEL_KEYS
        key = (batch.model, *(cells.get(name) for name in ("event_id", "label_time", "source")), *sorted(names))
        values = {name: cells[name] for name in names}
        if self._labels.get(key) == values:
            verdicts.repeat(index, conflict=False)
            return False
        self._labels[key] = values
        if any(model == batch.model and event_id == cells.get("event_id") for model, event_id, _ in self._events):
            verdicts.result.joined += 1
        else:
            verdicts.parked.append(index)
        return True


class _Verdicts:
    """The result of a batch while its rows are looked at."""

    def __init__(self, seq: int) -> None:
        self.result = result_pb2.BatchResult(seq=seq)
        self.parked: list[int] = []
        self._duplicates: list[int] = []
        self._conflicts: list[int] = []
        self._rejected: dict[Rejection, list[int]] = {}

    def reject(self, index: int, rejection: Rejection) -> None:
        self.result.rejected += 1
        self._rejected.setdefault(rejection, []).append(index)

    def repeat(self, index: int, *, conflict: bool) -> None:
        (self._conflicts if conflict else self._duplicates).append(index)

    def finish(self) -> result_pb2.BatchResult:
        result = self.result
        result.duplicate, result.conflict, result.parked = map(len, (self._duplicates, self._conflicts, self.parked))
        for rejection, rows in self._rejected.items():
            errors = result.errors.add(reason=rejection.reason, column=rejection.column, message=rejection.message)
            errors.rows.CopyFrom(ranges_of(rows))
        for name, rows in (
            ("duplicate_rows", self._duplicates),
            ("conflict_rows", self._conflicts),
            ("parked_rows", self.parked),
        ):
            if rows:
                getattr(result, name).CopyFrom(ranges_of(rows))
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
