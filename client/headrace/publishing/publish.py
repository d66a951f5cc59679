"""publish(): a source → batches → acks, on the caller's thread.

The caller encodes and seals chunk by chunk; the window bounds what is in memory, so a full one makes the caller wait.
Labels of a chunk are sealed (in the lane of late rows) when its events are acknowledged, so that they find their event.
The sessions' threads book each ack; the caller waits for the last one.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from headrace.deadline import Deadline
from headrace.encoding.table import RefusedRow, Table, encode
from headrace.errors import ClosedError, HeadraceError, InvalidArgumentError, PublishTimeout, SessionFailedError
from headrace.ids import uuid7
from headrace.logged.late_rows import KINDS
from headrace.results import PublishResult, RowError
from headrace.schemas.column import ColumnKind
from headrace.sending.lane import Lane
from headrace.sending.window import SealedBatch
from headrace.sources.plan import Plan, Roles
from headrace.sources.source import Chunk, chunks, tells_its_ids
from headrace.v1 import batch_pb2, result_pb2

if TYPE_CHECKING:
    from headrace.handles.model import Model

_EVENTS = batch_pb2.RECORD_KIND_EVENTS
_LABELS = batch_pb2.RECORD_KIND_LABELS
_WAITING_CHUNKS = 8  # chunks of labels that wait for their events' ack: what is held beside the window


class Publisher:
    """Publishes sources through a client's two lanes."""

    def __init__(self, events: Lane, late: Lane) -> None:
        self._lanes = {_EVENTS: events} | dict.fromkeys(KINDS.values(), late)
        self._is_closed = False

    def close(self) -> None:
        """Take no further source."""
        self._is_closed = True

    def publish(
        self,
        model: Model,
        source: object,
        roles: Roles,
        *,
        nan: str,
        deadline: Deadline,
        on_progress: Callable[[int], object] | None,
    ) -> PublishResult:
        """Send all rows of `source` and wait for their acks; as Model.publish."""
        if self._is_closed:
            raise ClosedError("the client is closed")
        check_nan(nan)
        run = Run(self._lanes, model, roles, deadline=deadline, on_progress=on_progress)
        return run.publish(source, nan)


def check_nan(nan: str) -> None:
    """Check what NaN is to mean.

    Raises:
        InvalidArgumentError: It is none of the two.
    """
    if nan not in {"null", "keep"}:
        raise InvalidArgumentError(f'nan={nan!r}: "null" or "keep"')


class Run:
    """One publish(), from its first row to its last ack."""

    def __init__(
        self,
        lanes: Mapping[batch_pb2.RecordKind.ValueType, Lane],
        model: Model,
        roles: Roles,
        *,
        deadline: Deadline,
        on_progress: Callable[[int], object] | None,
    ) -> None:
        self._lanes = lanes
        self._model = model
        self._roles = roles
        self._deadline = deadline
        self._kind = _EVENTS if roles.late is None else roles.late
        self._books = {_LABELS: Books(None), self._kind: Books(on_progress)}
        self._waiting_labels: deque[tuple[int, Table]] = deque()

    def publish(self, source: object, nan: str) -> PublishResult:
        """Send all rows and wait."""
        try:
            self._send(source, nan)
            self._wait()
        except HeadraceError as error:
            if isinstance(error, PublishTimeout | InvalidArgumentError):
                raise
            rows, batches = self._open()
            raise SessionFailedError(error, rows=rows, batches=batches) from error
        return self._result()

    def _send(self, source: object, nan: str) -> None:
        plan: Plan | None = None
        start = 0
        tells_ids = tells_its_ids(source)
        for chunk in chunks(source, self._chunk_rows(), nan=nan):
            if plan is None:
                info = self._model.info
                registered = info.schema.names(ColumnKind.LABEL) if info is not None else None
                plan = Plan.of(chunk.names, self._roles, registered)
            source_rows = range(start, start + len(chunk))
            if self._kind != _EVENTS:
                self._seal(self._kind, chunk.table(source_rows, plan.late_columns(chunk.names)))
            else:
                self._send_events(chunk, plan, source_rows, tells_ids=tells_ids)
            start += len(chunk)
        while self._waiting_labels:
            self._seal_oldest_labels()

    def _chunk_rows(self) -> int:
        """Return how many rows of the source to take at a time."""
        lane = self._lanes[self._kind]
        advice = lane.session.wait_advice(self._deadline)
        if advice is None:
            raise self._timed_out("the service has not answered yet")
        return advice.suggested_rows

    def _send_events(self, chunk: Chunk, plan: Plan, source_rows: Sequence[int], *, tells_ids: bool) -> None:
        """Seal a chunk of events, and put its labels where they wait for the ack."""
        ids, micros = self._made_keys(chunk, plan)
        names = chunk.names
        events = chunk.table(source_rows, plan.event_columns(names), event_ids=ids, event_micros=micros)
        seq = self._seal(_EVENTS, events)
        if plan.event_id is None:
            self._books[_EVENTS].result.add_ids(ids)
        elif tells_ids:
            self._books[_EVENTS].result.add_ids(chunk.ids(plan.event_id))
        labelled = chunk.rows_with_a_value(plan.label_names(names)) if plan.label_names(names) else ()
        if labelled:
            labels = chunk.table(source_rows, plan.late_columns(names), event_ids=ids, event_micros=micros)
            self._waiting_labels.append((seq, labels if len(labelled) == len(chunk) else labels.take(labelled)))
        while len(self._waiting_labels) > _WAITING_CHUNKS:
            self._seal_oldest_labels()

    def _made_keys(self, chunk: Chunk, plan: Plan) -> tuple[Sequence[object], Sequence[int] | None]:
        """Return ids and times that the source does not have; an id carries its event's millisecond."""
        micros = None
        millis: Sequence[int | None]
        if plan.event_time is None:
            now = time.time_ns() // 1000
            micros = [now] * len(chunk)
            millis = [now // 1000] * len(chunk)
        elif plan.event_id is None:
            millis = chunk.millis(plan.event_time)
        return [] if plan.event_id is not None else list(map(uuid7, millis)), micros

    def _seal_oldest_labels(self) -> None:
        """Wait for the events of the oldest waiting labels, then seal these."""
        seq, labels = self._waiting_labels[0]
        self._await_events(seq)
        self._waiting_labels.popleft()
        self._seal(_LABELS, labels)

    def _await_events(self, seq: int) -> None:
        if not self._lanes[_EVENTS].session.window.wait_settled(seq, self._deadline):
            raise self._timed_out("events have no ack yet, and their labels wait for it")

    def _seal(self, kind: batch_pb2.RecordKind.ValueType, table: Table) -> int:
        """Encode and seal a table; return the seq of its last batch."""
        lane, books = self._lanes[kind], self._books[kind]
        session, counters = lane.session, lane.counters
        advice = session.wait_advice(self._deadline)
        seq = 0
        for part in encode(table, self._model.header(kind), advice.limits) if advice is not None else ():
            if isinstance(part, RefusedRow):
                counters.count_published(1)
                counters.count_dropped(part.reason, 1)
                books.refused(part)
                continue
            rows = len(part.source_rows)
            receipt = books.receipt(part.source_rows)
            sealed = session.seal(part.body, rows, receipt, self._deadline)
            if sealed is None:
                books.forget(rows)
                raise self._timed_out("the window is full")
            counters.count_published(rows)
            seq = sealed
        if advice is None:
            raise self._timed_out("the service has not answered yet")
        return seq

    def _wait(self) -> None:
        for books in self._books.values():
            if not books.wait(self._deadline):
                raise self._timed_out("the service has not acknowledged all rows")
            if books.failure is not None:
                raise books.failure

    def _open(self) -> tuple[int, int]:
        """Return rows and batches of this publish without an ack."""
        return (
            sum(books.open_rows for books in self._books.values()),
            sum(books.open_batches for books in self._books.values()),
        )

    def _timed_out(self, why: str) -> PublishTimeout:
        rows, batches = self._open()
        message = f"{why}; {rows} rows in {batches} batches have no ack, their delivery goes on"
        return PublishTimeout(message, rows=rows, batches=batches, result=self._result())

    def _result(self) -> PublishResult:
        result = self._books[self._kind].result
        if self._kind != _EVENTS:
            return result
        labels = self._books[_LABELS].result
        result.labels = labels if labels.rows else None
        return result


class Books:
    """What is known of the batches of one kind: written by a session's thread, waited for by the publisher."""

    def __init__(self, on_progress: Callable[[int], object] | None) -> None:
        self.result = PublishResult()
        self.failure: HeadraceError | None = None
        self.open_rows = 0
        self.open_batches = 0
        self._on_progress = on_progress
        self._changed = threading.Condition(threading.Lock())

    def receipt(self, source_rows: Sequence[int]) -> _Receipt:
        """Return the receipt of a batch that is about to be sealed."""
        with self._changed:
            self.open_rows += len(source_rows)
            self.open_batches += 1
            self.result.rows += len(source_rows)
        return _Receipt(self, source_rows)

    def forget(self, rows: int) -> None:
        """A batch was not sealed after all."""
        with self._changed:
            self.open_rows -= rows
            self.open_batches -= 1
            self.result.rows -= rows

    def refused(self, row: RefusedRow) -> None:
        """A row cannot be sent."""
        with self._changed:
            self.result.rows += 1
            self.result.rejected += 1
            self.result.add_error(RowError(row.reason, row.column, row.message, [row.source_row]))

    def settled(self, rows: int, book: Callable[[PublishResult], object]) -> None:
        """A batch has its outcome: enter it, and wake the publisher when it was the last."""
        with self._changed:
            book(self.result)
            self.open_rows -= rows
            self.open_batches -= 1
            self._changed.notify_all()
            done = self.result.rows - self.open_rows
        if self._on_progress is not None:
            self._on_progress(done)

    def failed(self, error: HeadraceError) -> None:
        """There will be no ack."""
        with self._changed:
            self.failure = error
            self._changed.notify_all()

    def wait(self, deadline: Deadline) -> bool:
        """Wait until every batch has its outcome or none will come; False when the deadline passed."""
        with self._changed:
            while self.open_batches and self.failure is None:
                if not deadline.wait(self._changed):
                    return False
            return True


class _Receipt:
    """Enters the outcome of one batch into the books."""

    __slots__ = ("_books", "_source_rows")

    is_awaited = True

    def __init__(self, books: Books, source_rows: Sequence[int]) -> None:
        self._books = books
        self._source_rows = source_rows

    def settled(self, batch: SealedBatch, result: result_pb2.BatchResult | None) -> None:
        """The batch is acknowledged; without a result all rows are stored."""
        if result is None:
            result = result_pb2.BatchResult(rows=batch.rows, stored=batch.rows)
        self._books.settled(batch.rows, lambda book: book.add(result, self._source_rows))

    def failed(self, batch: SealedBatch, error: HeadraceError, *, set_aside: bool) -> None:
        """The batch was set aside, or the session is over."""
        if not set_aside:
            self._books.failed(error)
            return

        def book(result: PublishResult) -> None:
            result.quarantined += batch.rows
            result.add_error(RowError(error.reason, "", str(error), list(self._source_rows)))

        self._books.settled(batch.rows, book)
