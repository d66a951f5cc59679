"""The client: the front door of the SDK.

It owns two lanes (events, late rows), the connection for unary calls and the counters; nothing of it starts a thread or
a connection before it is needed, so `connect` never waits and a model server starts while headrace is away.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from headrace import lifetime
from headrace.beside_logging import Services
from headrace.connecting.channel import Link, Tls, is_loopback, parse_addresses
from headrace.deadline import Deadline
from headrace.encoding.table import Header
from headrace.errors import HeadraceError, InvalidArgumentError, UnackedError
from headrace.handles.model import Model
from headrace.handles.project import ProjectHandle
from headrace.logged.late_rows import late_table
from headrace.logged.rows import event_table
from headrace.results import BatchOutcome, PublishResult, Stats
from headrace.sending.lane import Lane, ToTable, stats_of
from headrace.sending.notices import Notices
from headrace.sending.quarantine import QuarantinedBatch
from headrace.settings import Settings

if TYPE_CHECKING:
    from headrace.sending.adoption import Adoption
    from headrace.spool.spool import Spool


class Client(ProjectHandle):
    """A connection to headrace, shared by all threads of a process; made by `headrace.connect`.

    Attributes:
        settings: The settings in force.
    """

    def __init__(
        self,
        link: Link,
        *,
        project: str = "",
        settings: Settings | None = None,
        on_result: Callable[[BatchOutcome], object] | None = None,
        on_error: Callable[[HeadraceError], object] | None = None,
        on_drop: Callable[[str, int], object] | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self._link = link
        self._notices = Notices(self.settings.warn_interval_s, on_result=on_result, on_error=on_error, on_drop=on_drop)
        self._spool, self._adoption = self._spooling(project)
        self._events = self._lane("events", attrgetter("events_header"), event_table, project)
        self._late = self._lane("late", attrgetter("header"), late_table, project)
        self._services = Services(link, project, self.settings, self._events, self._late)
        self._models: dict[tuple[str, str], Model] = {}
        self._is_closed = False
        lifetime.watch(self)

    def _lane(self, name: str, header_of: Callable[[Any], Header], to_table: ToTable, project: str) -> Lane:
        return Lane(
            name,
            header_of,
            to_table,
            link=self._link,
            project=project,
            settings=self.settings,
            notices=self._notices,
            spool=self._spool,
        )

    def _spooling(self, project: str) -> tuple[Spool | None, Adoption | None]:
        if self.settings.spool_dir is None:
            return None, None
        from headrace.sending.adoption import Adoption  # noqa: PLC0415 -- brings SQLite, which few clients need
        from headrace.spool.spool import Spool  # noqa: PLC0415 -- the same
        from headrace.spool.store import SpoolFullError  # noqa: PLC0415 -- the same

        try:
            spool = Spool(self.settings, project)
        except SpoolFullError as error:
            self._notices.warn(error.reason, f"{error}; rows are kept in memory alone")
            return None, None
        return spool, Adoption(spool, self._link, self.settings, self._notices)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except UnackedError:
            if error is None:  # an error of the body is the more important one; counters keep what this one says
                raise

    def __repr__(self) -> str:
        return f"Client({self._link!r}{', closed' if self._is_closed else ''})"

    def flush(self, timeout: float | Deadline = 30.0) -> None:
        """Wait until every row logged so far is acknowledged; the client stays open.

        Args:
            timeout: Seconds to wait, or a Deadline, which another thread can expire.

        Raises:
            FlushTimeout: The time passed; its message and attributes say how much has no ack. Delivery goes on.
            SessionFailedError: A session is over: what has no ack will never have one.
            ClosedError: The client is closed.
        """
        self._check_open()
        deadline = Deadline.of(timeout)
        for lane in (self._events, self._late):
            lane.flush(deadline)

    def flush_to_spool(self, timeout: float | Deadline = 5.0) -> None:
        """Wait until every row logged so far is on disk (or acknowledged): from then on it outlives the process.

        Args:
            timeout: Seconds to wait, or a Deadline.

        Raises:
            FlushTimeout: The time passed, or the disk is full; its message says how many rows are in memory alone.
            InvalidArgumentError: The client has no spool_dir.
            ClosedError: The client is closed.
        """
        self._check_open()
        if self.settings.spool_dir is None:
            raise InvalidArgumentError("flush_to_spool needs Settings(spool_dir=...)")
        deadline = Deadline.of(timeout)
        for lane in (self._events, self._late):
            lane.flush_to_spool(deadline)

    def close(self, timeout: float | Deadline = 30.0) -> None:
        """Accept nothing more, wait for the acks of the rest, then release threads and connections. Safe twice.

        Args:
            timeout: Seconds to wait for acks, or a Deadline.

        Raises:
            UnackedError: The time passed with rows unacknowledged (of both lanes together).
            SessionFailedError: A session had ended before, with rows unacknowledged.
        """
        if self._is_closed:
            return
        self._is_closed = True
        lifetime.forget(self)
        self._services.stop_publishing()
        deadline = Deadline.of(timeout)
        errors = []
        for lane in (self._events, self._late):
            try:
                lane.close(deadline)
            except UnackedError as error:
                errors.append(error)
        try:
            self._services.finish(deadline)
        except UnackedError as error:
            errors.append(error)
        self._services.close()
        if self._adoption is not None:
            self._adoption.close(deadline)
        if self._spool is not None:
            self._spool.close()
        if len(errors) == 1:
            raise errors[0]
        if errors:
            message = "; ".join(map(str, errors))
            raise UnackedError(message, rows=sum(e.rows for e in errors), batches=sum(e.batches for e in errors))

    def wait_until_queryable(self, result: PublishResult | BatchOutcome) -> None:
        """Return at once when every row of a result can be read.

        An ack says that rows are committed, so a read that begins after it sees them, through whichever replica of the
        service. This is here for programs that come from systems where the two are minutes apart. It does not look at
        the database; a read replica of PostgreSQL, if you query one yourself, lags behind by what it says.

        Args:
            result: What publish() returned, or on_result was told.

        Raises:
            UnackedError: Rows of it have no ack: it is that of a publish() that ran out of time.
        """
        if isinstance(result, PublishResult) and result.unsettled:
            message = f"{result.unsettled} rows have no ack: flush() waits for them"
            raise UnackedError(message, rows=result.unsettled, batches=0)

    def stats(self) -> Stats:
        """Return where every row is. Counters of rows that move at this moment may be in either place."""
        stats = stats_of((self._events, self._late))
        if self._adoption is None:
            return stats
        adopted = self._adoption.counters
        return replace(stats, adopted=adopted.acked, damaged=stats.damaged + adopted.damaged)

    @property
    def producer_ids(self) -> Mapping[str, str]:
        """The identities under which the service knows this client, by lane: "events", "late"."""
        return {lane.name: lane.session.producer_id for lane in (self._events, self._late)}

    def quarantined(self) -> Sequence[QuarantinedBatch]:
        """Return the batches that ended the stream and were set aside, as far as quarantine_bytes holds them."""
        return [*self._events.session.quarantine.batches, *self._late.session.quarantine.batches]

    def before_fork(self, deadline: Deadline) -> None:
        """Leave the network while the process forks. Called by lifetime.py, as the next two."""
        for lane in (self._events, self._late):
            lane.before_fork(deadline)
        if self._adoption is not None:
            self._adoption.before_fork(deadline)
        self._services.before_fork()

    def after_fork_in_parent(self) -> None:
        """Go on as before."""
        for lane in (self._events, self._late):
            lane.after_fork_in_parent()
        if self._adoption is not None:
            self._adoption.after_fork_in_parent()

    def after_fork_in_child(self) -> None:
        """Begin empty: the parent delivers what it accepted."""
        self._notices.after_fork_in_child()
        if self._spool is not None and self._adoption is not None:
            self._adoption.after_fork_in_child()
            self._adoption = None
            self._spool.after_fork_in_child()
        for lane in (self._events, self._late):
            lane.after_fork_in_child()
        self._services.after_fork_in_child()


def connect(
    address: str = "localhost:50051",
    *,
    api_key: str | os.PathLike[str] | None = None,
    project: str = "",
    tls: Tls | bool | None = None,
    settings: Settings | None = None,
    on_result: Callable[[BatchOutcome], object] | None = None,
    on_error: Callable[[HeadraceError], object] | None = None,
    on_drop: Callable[[str, int], object] | None = None,
) -> Client:
    """Return a client; nothing is sent yet, so it works while headrace is away.

    Args:
        address: "host:port", or several with commas between: they are tried in turn.
        api_key: Key of the project, or the Path of a file that holds it. In a file it may be renewed: rows wait for
            that when the service refuses the old one.
        project: The project you believe to write to; the service refuses when the key is another's. Default: the key's.
        tls: True, a Tls with certificates, or False for plaintext. Default: plaintext on loopback, TLS elsewhere.
        settings: Bounds, policies and times; see Settings.
        on_result: Called with the outcome of each batch of logged rows, on a thread of the client; must not block.
        on_error: Called when a batch is set aside or a session is over.
        on_drop: Called with a reason and the number of rows this client dropped for it.

    Raises:
        InvalidArgumentError: The address is none, or an API key would travel in plaintext unasked.
    """
    addresses = parse_addresses(address)
    if api_key and tls is None and not all(map(is_loopback, addresses)):
        tls = True
    return Client(
        Link(address, api_key=api_key, tls=tls),
        project=project,
        settings=settings,
        on_result=on_result,
        on_error=on_error,
        on_drop=on_drop,
    )
