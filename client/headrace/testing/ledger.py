"""The fake service's database: a ledger of producers and the rows they stored, in memory.

It keeps what the service promises: seqs without gaps, a batch sent again never adds a row and is answered with its
first result, a newer session fences the older. One lock makes each batch a transaction.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from headrace.testing.batch_rows import UndecodableError, rows_of_batch
from headrace.testing.rejection import Rejection
from headrace.testing.row_checks import fault_of, with_times
from headrace.testing.verdicts import Verdicts, undecodable
from headrace.v1 import batch_pb2, model_pb2, result_pb2

_LATE_KEYS = frozenset({"event_id", "event_time", "label_time", "source"})
_NOT_COMPARED = frozenset(
    {"trace_id", "span_id", "inclusion_probability"}
)  # they belong to the delivery, not to the event

Rule = Callable[[dict[str, object]], Rejection | None]
"""Given the cells of a row: why it is refused, or None."""


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
    """Empty for a unary Publish."""
    seq: int
    cells: dict[str, object]
    """Values by column; null ones are left out."""


@dataclass(slots=True)
class Producer:
    """A row of the ledger."""

    epoch: int = 0
    last_seq: int = 0
    results: dict[int, result_pb2.BatchResult] = field(default_factory=dict)


class Ledger:
    """Producers, rows and rules.

    Args:
        models: Registered models by name; their rows are checked.

    Attributes:
        producers: By producer_id.
        rows: Every stored row, in the order they were stored.
        rules: Asked in turn about every row, before anything else.
    """

    def __init__(self, models: Mapping[str, model_pb2.Model] | None = None) -> None:
        self.producers: dict[str, Producer] = {}
        self.rows: list[StoredRow] = []
        self.rules: list[Rule] = []
        self._models = models if models is not None else {}
        self._events: dict[tuple[str, object, object], dict[str, object]] = {}
        self._late: set[tuple[object, ...]] = set()
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
                return _replayed(producer, batch.seq)
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

    def foresee(self, batch: batch_pb2.Batch) -> result_pb2.BatchResult:
        """Return what storing the batch would, and store nothing."""
        with self._lock:
            rows, events, late = list(self.rows), dict(self._events), set(self._late)
            try:
                return self._store("", batch)
            finally:
                self.rows[:], self._events, self._late = rows, events, late

    def events(self, model: str) -> list[dict[str, object]]:
        """Return the events of a model, in the order they were stored."""
        return self.stored(batch_pb2.RECORD_KIND_EVENTS, model)

    def labels(self, model: str) -> list[dict[str, object]]:
        """Return the label rows of a model, in the order they were stored."""
        return self.stored(batch_pb2.RECORD_KIND_LABELS, model)

    def stored(self, kind: batch_pb2.RecordKind.ValueType, model: str) -> list[dict[str, object]]:
        """Return the rows of a kind for a model, in the order they were stored."""
        with self._lock:
            return [row.cells for row in self.rows if row.kind == kind and row.model == model]

    def _store(self, producer_id: str, batch: batch_pb2.Batch) -> result_pb2.BatchResult:
        try:
            rows = rows_of_batch(batch)
        except (UndecodableError, ValueError) as error:
            return undecodable(batch.seq, batch.columns.row_count, str(error))
        verdicts = Verdicts(batch.seq, len(rows))
        model = self._models.get(batch.model)
        for index, sent in enumerate(rows):
            cells = with_times(sent, batch.kind)
            rejection = next(filter(None, (rule(cells) for rule in self.rules)), None)
            if rejection is None and model is not None:
                rejection = fault_of(cells, batch.kind, model)
            if rejection is not None:
                verdicts.reject(index, rejection)
            elif self._is_new(verdicts, index, batch, cells):
                verdicts.store()
                self.rows.append(StoredRow(batch.kind, batch.model, batch.model_version, producer_id, batch.seq, cells))
        return verdicts.result()

    def _is_new(self, verdicts: Verdicts, index: int, batch: batch_pb2.Batch, cells: dict[str, object]) -> bool:
        """Return whether a good row adds to what is there; note what else is to be said of it."""
        if batch.kind == batch_pb2.RECORD_KIND_EVENTS:
            return self._is_new_event(verdicts, index, batch.model, cells)
        if "event_id" not in cells:  # a metric of its own
            return True
        return self._is_new_late_row(verdicts, index, batch, cells)

    def _is_new_event(self, verdicts: Verdicts, index: int, name: str, cells: dict[str, object]) -> bool:
        key = (name, cells.get("event_id"), cells.get("event_time"))
        known = self._events.setdefault(key, cells)
        model = self._models.get(name)
        if known is cells or (model is not None and model.identity == model_pb2.IDENTITY_APPEND):
            return True
        verdicts.repeat(index, conflict=_compared(known) != _compared(cells))
        return False

    def _is_new_late_row(
        self, verdicts: Verdicts, index: int, batch: batch_pb2.Batch, cells: dict[str, object]
    ) -> bool:
        values = sorted((name, repr(cell)) for name, cell in cells.items() if name not in _LATE_KEYS)
        key = (batch.kind, batch.model, *(cells.get(name) for name in ("event_id", "label_time", "source")), *values)
        if key in self._late:
            verdicts.repeat(index, conflict=False)
            return False
        self._late.add(key)
        if any(model == batch.model and event_id == cells["event_id"] for model, event_id, _ in self._events):
            verdicts.join()
        else:
            verdicts.park(index)
        return True


def _compared(cells: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return what two events are compared by; NaN is equal to NaN."""
    return sorted((name, repr(cell)) for name, cell in cells.items() if name not in _NOT_COMPARED)


def _replayed(producer: Producer, seq: int) -> result_pb2.BatchResult:
    if seq not in producer.results:
        return result_pb2.BatchResult(seq=seq, replayed=True, result_expired=True)
    replayed = result_pb2.BatchResult()
    replayed.CopyFrom(producer.results[seq])
    replayed.replayed = True
    return replayed
