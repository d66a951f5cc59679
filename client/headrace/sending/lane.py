"""A lane: all that moves rows, from log() to the ack — buffer, sealer, session.

Events have a lane and late rows have one, so that events never wait for the search that late rows take. A lane costs
nothing until its first row. A forked child gets the lane empty, with a producer_id of its own; the parent's is
undisturbed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from headrace.connecting.channel import Link, leave_to_parent
from headrace.deadline import Deadline
from headrace.encoding.table import Header, RefusedRow, RowTable
from headrace.errors import FlushTimeout, SessionFailedError, UnackedError
from headrace.logged.buffer import Buffer, LoggedRow
from headrace.logged.counters import Counters, Holding
from headrace.results import Stats
from headrace.sending.notices import Notices
from headrace.sending.sealer import Sealer
from headrace.sending.session import Session
from headrace.settings import Settings

if TYPE_CHECKING:
    from headrace.sending.spooled_window import SpooledWindow
    from headrace.spool.spool import Spool

logger = logging.getLogger("headrace")

ToTable: TypeAlias = "Callable[[Sequence[LoggedRow]], tuple[RowTable, list[RefusedRow]]]"


class Lane:
    """Buffer, sealer and session of rows.

    Args:
        name: What its rows are, for people: "events", "late".
        header_of: Says what batches of rows with this first cell say about themselves.
        to_table: Makes a table of logged rows with one first cell.
        link: Where the service is.
        project: Project the rows go to.
        settings: The client's settings.
        notices: Warnings and callbacks.
        spool: Where sealed batches are kept until their ack; None: in memory.
    """

    def __init__(
        self,
        name: str,
        header_of: Callable[[Any], Header],
        to_table: ToTable,
        *,
        link: Link,
        project: str,
        settings: Settings,
        notices: Notices,
        spool: Spool | None,
    ) -> None:
        self.name = name
        self._header_of = header_of
        self._to_table = to_table
        self._link = link
        self._project = project
        self._settings = settings
        self.counters = Counters()
        self._notices = notices
        self._spool = spool
        self.buffer = Buffer(settings, self.counters)
        self._make_workers()

    def _make_workers(self) -> None:
        self._window = None if self._spool is None else self._spooled_window(self._spool)
        self.session = Session(
            self._link,
            project=self._project,
            settings=self._settings,
            counters=self.counters,
            notices=self._notices,
            holding=self._holding,
            name=f"headrace-{self.name}-session",
            window=self._window,
        )
        self.sealer = Sealer(
            self.buffer,
            self.session,
            header_of=self._header_of,
            to_table=self._to_table,
            counters=self.counters,
            notices=self._notices,
            name=f"headrace-{self.name}-sealer",
        )

    def _spooled_window(self, spool: Spool) -> SpooledWindow | None:
        from headrace.sending.adoption import spooled_window  # noqa: PLC0415 -- brings SQLite, which few clients need
        from headrace.spool.store import SpoolFullError  # noqa: PLC0415 -- the same

        try:
            return spooled_window(spool.store(self.name), self._settings, self.counters, self._notices)
        except SpoolFullError as error:  # a server starts, and serves, with a full disk as well
            self._notices.warn(error.reason, f"{error}; rows are kept in memory alone")
            return None

    def admit(self, row: LoggedRow) -> None:
        """Take a row at a notice of the buffer, with the sealer running; as Buffer.admit."""
        self.sealer.start()
        self.buffer.admit(row)

    def refuse(self, reason: str, error: Exception) -> None:
        """Count a row whose arguments cannot be used, and say so."""
        self.buffer.refuse(reason)
        if not self.buffer.is_closed:  # the sealer calls on_drop
            self.sealer.start()
            self.buffer.wake.set()
        self._notices.warn(f"dropped {reason}", f"one of the {self.name} rows was dropped: {error}")

    @property
    def logged(self) -> int:
        """Rows given to this lane so far, logged and published."""
        return self.buffer.given + self.counters.published

    def _holding(self) -> Holding:
        """What the lane has, looked at in the order in which rows go."""
        logged = self.logged
        buffered = len(self.buffer.rows) + self.sealer.in_hand
        return Holding(logged, buffered, self.session.window.rows, self.spooled)

    @property
    def spooled(self) -> int:
        """Rows that wait on disk alone."""
        return 0 if self._window is None else self._window.waiting_rows

    def unacked(self) -> tuple[int, int]:
        """Return rows and sealed batches without an ack."""
        window = self.session.window
        with window.changed:
            sealed, waiting = (window.rows + self.spooled), window.next_seq - window.oldest_seq
            return len(self.buffer.rows) + self.sealer.in_hand + sealed, waiting

    def flush(self, deadline: Deadline) -> None:
        """Wait until all rows given so far are acknowledged.

        Raises:
            FlushTimeout: The deadline passed first.
            SessionFailedError: They never will be.
        """
        window = self.session.window
        done = not (self.buffer.rows or self.sealer.in_hand) or self.sealer.flush(deadline)
        through_seq = window.next_seq - 1
        if self.session.is_over:
            raise self._failed()
        try:
            done = done and window.wait_settled(through_seq, deadline)
        except Exception as error:
            raise self._failed() from error
        if not done:
            rows, batches = self.unacked()
            raise FlushTimeout(
                f"{rows} {self.name} rows ({batches} sealed batches) have no ack yet; delivery goes on",
                rows=rows,
                batches=batches,
            )

    def flush_to_spool(self, deadline: Deadline) -> None:
        """Wait until all rows given so far are on disk, or acknowledged.

        Raises:
            FlushTimeout: The deadline passed first.
        """
        is_sealed = not (self.buffer.rows or self.sealer.in_hand) or self.sealer.flush(deadline)
        unspooled = self.session.window.rows if self._window is None else self._window.unspooled_rows
        rows = unspooled if is_sealed else self.unacked()[0]
        if rows:
            raise FlushTimeout(f"{rows} {self.name} rows are not on disk", rows=rows, batches=0)

    def close(self, deadline: Deadline) -> None:
        """Accept nothing more, deliver what is here until `deadline`, then release threads and connection.

        Raises:
            SessionFailedError: The session had ended before, with rows unacknowledged.
            UnackedError: The deadline passed with rows unacknowledged.
        """
        self.buffer.close()
        self.sealer.close(deadline)
        failed = self._failed() if self.session.is_over else None
        in_buffer = len(self.buffer.rows) + self.sealer.in_hand
        self.session.close(deadline)
        self.sealer.close(Deadline(1.0))  # it may have waited for the window
        rows, batches = self.unacked()
        if self._window is not None:
            rows, batches = self._leave_in_spool(self._window, rows, batches)
        if failed is not None:
            raise failed
        if rows or batches or in_buffer:
            rows = max(rows, in_buffer)
            raise UnackedError(
                f"closed with {rows} {self.name} rows ({batches} sealed batches) without an ack",
                rows=rows,
                batches=batches,
            )

    def _leave_in_spool(self, window: SpooledWindow, rows: int, batches: int) -> tuple[int, int]:
        """Let go of the store; return rows and batches without an ack that are not in it."""
        unspooled = len(self.buffer.rows) + self.sealer.in_hand + window.unspooled_rows
        with window.changed:
            window.store.close()
        if rows > unspooled:
            logger.info("%d %s rows stay in the spool, for the next process that has it", rows - unspooled, self.name)
        return unspooled, batches if unspooled else 0

    def _failed(self) -> SessionFailedError:
        rows, batches = self.unacked()
        cause = self.session.window.failure
        assert cause is not None  # noqa: S101 -- asked for only when the session is over
        return SessionFailedError(cause, rows=rows, batches=batches)

    def before_fork(self, deadline: Deadline) -> None:
        """Leave the network while the process forks."""
        self.session.hang_up(deadline)

    def after_fork_in_parent(self) -> None:
        """Go on: reconnect when there is something to send."""
        self.session.resume()

    def after_fork_in_child(self) -> None:
        """Begin empty, under a new producer_id; nothing of the parent's threads and connection is touched."""
        leave_to_parent(self.session)
        self.counters.after_fork_in_child()
        self.buffer.after_fork_in_child()
        self._make_workers()


def stats_of(lanes: Sequence[Lane]) -> Stats:
    """Return where the rows of these lanes are."""
    counters = [lane.counters for lane in lanes]
    dropped: dict[str, int] = {}
    for lane_counters in counters:
        for reason, rows in lane_counters.dropped.copy().items():
            dropped[reason] = dropped.get(reason, 0) + rows
    return Stats(
        logged=sum(lane.logged for lane in lanes),
        stored=sum(c.stored for c in counters),
        duplicate=sum(c.duplicate for c in counters),
        conflict=sum(c.conflict for c in counters),
        rejected=sum(c.rejected for c in counters),
        skipped=sum(c.skipped for c in counters),
        uncounted=sum(c.uncounted for c in counters),
        quarantined=sum(c.quarantined for c in counters),
        unacked=sum(lane.unacked()[0] for lane in lanes),
        dropped=dropped,
        joined=sum(c.joined for c in counters),
        parked=sum(c.parked for c in counters),
        pending=sum(c.pending for c in counters),
        buffered=sum(len(lane.buffer.rows) for lane in lanes),
        spooled=sum(lane.spooled for lane in lanes),
        retried=sum(c.retried for c in counters),
        batches=sum(c.batches for c in counters),
        damaged=sum(c.damaged for c in counters),
    )
