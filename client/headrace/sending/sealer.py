"""The sealer: takes logged rows from the buffer, makes batches of them, seals them into the session's window.

All the heavy work of log() is done here, on one thread of its own:

1. It sleeps until a row comes, then lets others join it for the linger, or until a batch is full, or a flush asks.
2. It takes rows, parts them by model handle, encodes them, and seals each batch; sealing waits while the window is
   full, and meanwhile the buffer fills and its overflow policy speaks.
3. Rows that no batch can carry, and rows taken after the session is over, are counted as dropped, by reason.

Without a spool nothing is sealed before the service has once told its limits: until then every row can still be dropped
by policy. With one, rows are on disk as soon as they are sealed, and that waits for nobody.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from headrace.deadline import Deadline
from headrace.encoding.table import Header, Limits, RefusedRow, RowTable, encode
from headrace.errors import HeadraceError
from headrace.logged.buffer import Buffer, LoggedRow
from headrace.logged.counters import Counters
from headrace.sending.notices import Notices
from headrace.sending.receipts import LogReceipt
from headrace.sending.session import Session

_TICK_S = 1.0

logger = logging.getLogger("headrace")


class Sealer:
    """Thread between a buffer and a session.

    Args:
        buffer: Where rows come from.
        session: Where batches go.
        header_of: Says what batches of rows with this first cell say about themselves.
        to_table: Makes a table of logged rows, and names those it cannot take.
        counters: Where drops are counted.
        notices: Warnings and callbacks.
        name: Name of the thread.
    """

    def __init__(
        self,
        buffer: Buffer,
        session: Session,
        *,
        header_of: Callable[[Any], Header],
        to_table: Callable[[Sequence[LoggedRow]], tuple[RowTable, list[RefusedRow]]],
        counters: Counters,
        notices: Notices,
        name: str,
    ) -> None:
        self._buffer = buffer
        self._session = session
        self._header_of = header_of
        self._to_table = to_table
        self._counters = counters
        self._notices = notices
        self._name = name
        self._progress = threading.Condition(threading.Lock())
        self._thread: threading.Thread | None = None
        self._flush_through = 0
        self._position = 0
        self._closing = False
        self._has_failed = False

    @property
    def in_hand(self) -> int:
        """Rows taken from the buffer and not sealed yet."""
        return self._buffer.taken - self._position

    def start(self) -> None:
        """Begin to take rows, if that has not begun."""
        if self._thread is None:
            with self._progress:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                    self._thread.start()

    def flush(self, deadline: Deadline) -> bool:
        """Have all rows that are in the buffer now sealed; False when the deadline passed first."""
        target = self._buffer.passed + len(self._buffer.rows)
        with self._progress:
            self._flush_through = max(self._flush_through, target)
        self._buffer.wake.set()
        with self._progress:
            while not self._has_sealed(target):
                if self._thread is None or self._has_failed or not deadline.wait(self._progress):
                    return False
        return True

    def _has_sealed(self, target: int) -> bool:
        """Whether the first `target` rows are sealed, or dropped by policy."""
        return self._buffer.passed - self.in_hand >= target

    def close(self, deadline: Deadline) -> None:
        """Seal what is there until `deadline`, then end the thread."""
        with self._progress:
            self._closing = True
        self._buffer.wake.set()
        if self._thread is not None:
            self._thread.join(min(deadline.left_s, threading.TIMEOUT_MAX))

    def _run(self) -> None:
        try:
            while self._step():
                self._tell_drops()
        except Exception as error:
            logger.exception("the sealer's thread has failed; this is a defect of headrace")
            self._session.fail(HeadraceError(f"defect: {error!r}"))
            with self._progress:
                self._has_failed = True
                self._progress.notify_all()
        self._tell_drops()

    def _step(self) -> bool:
        """Seal the next rows, or wait a moment for some; False when there is no more to do."""
        buffer = self._buffer
        if not buffer.rows:
            if self._closing:
                return False
            self._sleep(1, _TICK_S)
            return True
        try:
            advice = self._session.sealing_advice(Deadline(_TICK_S))
        except HeadraceError as error:
            if self._closing:
                return False  # what is left stays in the buffer, counted as unacked
            self._discard(buffer.take(len(buffer.rows)), error)
            return True
        if advice is None:
            return True
        if len(buffer.rows) < advice.suggested_rows and not self._is_urgent():
            self._sleep(advice.suggested_rows, advice.linger_s)
        self._seal(buffer.take(advice.suggested_rows), advice.limits)
        return True

    def _sleep(self, rows: int, seconds: float) -> None:
        """Sleep until so many rows are in the buffer, a flush or close asks, or the time is over."""
        buffer = self._buffer
        buffer.wake.clear()
        buffer.wake_at(rows)
        if rows == 1:
            # A log() between its comparison and its append does not see the new notice: look once more before sleeping.
            if not self._is_urgent() and not buffer.wake.wait(0.02) and not buffer.rows:
                buffer.wake.wait(seconds)
        elif not self._is_urgent():
            buffer.wake.wait(seconds)
        buffer.wake_at(None)

    def _is_urgent(self) -> bool:
        return self._closing or not self._has_sealed(self._flush_through)

    def _seal(self, rows: list[LoggedRow], limits: Limits) -> None:
        """Encode and seal rows, those of one model handle and kind after the other."""
        by_handle: dict[object, list[LoggedRow]] = {}
        for row in rows:
            by_handle.setdefault(row[0], []).append(row)
        for handle, its_rows in by_handle.items():
            self._seal_table(its_rows, self._header_of(handle), limits)

    def _seal_table(self, rows: list[LoggedRow], header: Header, limits: Limits) -> None:
        table, refused = self._to_table(rows)
        for row in refused:
            self._refuse(row)
        for part in encode(table, header, limits):
            if isinstance(part, RefusedRow):
                self._refuse(part)
                continue
            receipt = LogReceipt(self._notices, header, part.event_ids)
            count = len(part.source_rows)
            try:
                while self._session.seal(part.body, count, receipt, Deadline(_TICK_S)) is None:
                    self._tell_drops()
                self._advance(count)
            except HeadraceError as error:
                self._drop(error.reason, count, str(error))

    def _discard(self, rows: list[LoggedRow], error: HeadraceError) -> None:
        """The session is over: rows that come now have nowhere to go."""
        self._drop(error.reason, len(rows), str(error))

    def _refuse(self, row: RefusedRow) -> None:
        self._drop(row.reason, 1, f"{row.reason}: {row.message}")

    def _drop(self, reason: str, rows: int, message: str) -> None:
        self._counters.count_dropped(reason, rows)
        self._notices.dropped(reason, rows, message)
        self._advance(rows)

    def _advance(self, rows: int) -> None:
        """Have rows out of hand: sealed, or dropped. What a defect leaves in hand is counted as unacked."""
        with self._progress:
            self._position += rows
            self._progress.notify_all()

    def _tell_drops(self) -> None:
        for reason, rows in self._buffer.untold_drops().items():
            self._notices.dropped(reason, rows, f"{rows} by {reason}")
