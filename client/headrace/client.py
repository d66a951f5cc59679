"""The client: the front door of the SDK.

It owns two lanes (events, late rows), the connection for unary calls and the counters; nothing of it starts a thread or
a connection before it is needed, so `connect` never waits and a model server starts while headrace is away.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from operator import attrgetter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from headrace import lifetime
from headrace.beside_logging import Services
from headrace.connecting.channel import Link, Tls, is_loopback, parse_addresses
from headrace.deadline import Deadline
from headrace.encoding.table import Header
from headrace.errors import ClosedError, HeadraceError, InvalidArgumentError, UnackedError
from headrace.handles.model import Model
from headrace.logged.late_rows import late_table
from headrace.logged.rows import event_table
from headrace.results import BatchOutcome, PublishResult, Stats
from headrace.sending.lane import Lane, ToTable, stats_of
from headrace.sending.notices import Notices
from headrace.sending.quarantine import QuarantinedBatch
from headrace.settings import Settings

if TYPE_CHECKING:
    from headrace.publishing.datasets import Dataset
    from headrace.schemas.column import Column
    from headrace.schemas.model_info import EventIdType, Identity, ModelInfo, UnknownColumns
    from headrace.schemas.schema import Schema
    from headrace.schemas.tasks import TaskLike
    from headrace.sending.adoption import Adoption
    from headrace.services.dead_letters import DeadLetters
    from headrace.services.delivery import ProducerDelivery
    from headrace.services.jobs import Job, JobState
    from headrace.spool.spool import Spool


class Client:
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

    def model(self, name: str, version: str = "") -> Model:
        """Return a handle of a model without asking the service: it works while headrace is away.

        Raises:
            ClosedError: The client is closed.
        """
        self._check_open()
        return self._models.setdefault((name, version), self._handle(name, version, None))

    def register(
        self,
        schema: Schema,
        *,
        name: str,
        version: str = "",
        identity: Identity | None = None,
        event_id_type: EventIdType | None = None,
        unknown_columns: UnknownColumns | None = None,
    ) -> Model:
        """Make a model with its tables, or add a version and new columns to one that is there; return its handle.

        The same call again changes nothing.

        Args:
            schema: The model's columns.
            name: Name of the model, 1–48 characters after folding to [a-z][a-z0-9_]*.
            version: Version this handle logs under.
            identity: How repeated events are recognised; fixed from now on. Default: UNIQUE.
            event_id_type: Type of event ids; fixed from now on. Default: TEXT.
            unknown_columns: What happens to columns that are not registered. Default: REJECT.

        Raises:
            ServiceError: The service refuses (MODEL_INVALID, NAME_INVALID, TYPE_CONFLICT …), or is away for
                call_timeout_s.
            ClosedError: The client is closed.
        """
        self._check_open()
        info = self._services.registry.register(
            schema,
            name=name,
            version=version,
            identity=identity,
            event_id_type=event_id_type,
            unknown_columns=unknown_columns,
        )
        return self._handle(name, version, info)

    def get_model(self, name: str, version: str = "") -> Model:
        """Return a handle of a registered model that knows its schema (`handle.info`).

        Raises:
            ModelNotFoundError: There is no such model.
            ServiceError: As register.
            ClosedError: The client is closed.
        """
        self._check_open()
        return self._handle(name, version, self._services.registry.get(name))

    def list_models(self) -> Iterator[ModelInfo]:
        """Yield the models of the project, by name; pages are fetched as they are needed.

        Raises:
            ServiceError: As register.
            ClosedError: The client is closed.
        """
        self._check_open()
        return self._services.registry.list()

    def update_model(
        self,
        name: str,
        *,
        add: Sequence[Column] = (),
        unknown_columns: UnknownColumns | None = None,
        task: TaskLike | None = None,
        add_classes: Sequence[str] = (),
        positive_class: str = "",
        threshold: float | None = None,
        sampling_rate: float | None = None,
        revision: int = 0,
        retention: timedelta | None = None,
    ) -> ModelInfo:
        """Add columns, roles and classes to a model, or change its policies; open sessions go on.

        Args:
            name: Name of the model.
            add: Columns to add; those that are there already take the role that is given, if they have none.
            unknown_columns: New policy. Default: as it is.
            task: Task of a model that has none yet.
            add_classes: Classes to add; those that are there already change nothing.
            positive_class: Positive class of a model that has none yet.
            threshold: New threshold, 0–1. Default: as it is.
            sampling_rate: Share of its events to keep from now on, above 0 and at most 1. Default: as it is.
            revision: Revision you have seen; REVISION_CONFLICT when it is no longer current. Default 0: any.
            retention: Age from which events are dropped with their labels, at least a day; timedelta(0) keeps them for
                ever. Default: as it is.

        Raises:
            ServiceError: As register.
            ClosedError: The client is closed.
        """
        self._check_open()
        return self._services.registry.update(
            name,
            add=tuple(add),
            unknown_columns=unknown_columns,
            task=task,
            add_classes=add_classes,
            positive_class=positive_class,
            threshold=threshold,
            sampling_rate=sampling_rate,
            revision=revision,
            retention=retention,
        )

    def publish_dataset(
        self,
        source: object,
        *,
        name: str,
        schema: Schema | None = None,
        event_id: str | None = None,
        event_time: str | None = None,
        labels: str | Sequence[str] | None = None,
        expected_rows: int | None = None,
        allow_rejected: bool = False,
        nan: str = "null",
    ) -> Job:
        """Publish a dataset that belongs to no model yet: features, labels, extra data; as Model.publish_dataset.

        Args:
            source: As for Model.publish_dataset.
            name: Name of the dataset; folded it is the name of its table.
            schema: Its columns. Default: inferred from the first rows, where `labels` says which are labels; an
                iterator needs one.
            event_id: As for Model.publish_dataset, and so are all below.
            event_time: Column that holds the times, where there is one.
            labels: Column or columns that are labels.
            expected_rows: Rows there must be.
            allow_rejected: Go on without rows that are refused.
            nan: What NaN of a pandas DataFrame means.

        Raises:
            ServiceError, InvalidArgumentError, ClosedError: As Model.publish_dataset.
        """
        from headrace.publishing.upload import Wanted, inferred_schema  # noqa: PLC0415 -- as the parts of beside_logging.py
        from headrace.sources.plan import Roles  # noqa: PLC0415 -- as the parts of beside_logging.py

        self._check_open()
        chosen = [labels] if isinstance(labels, str) else labels
        if schema is None:
            schema = inferred_schema(source, [event_id, event_time], chosen)
        wanted = Wanted(
            source=source,
            name=name,
            roles=Roles(event_id=event_id, event_time=event_time, labels=chosen),
            schema=schema,
            expected_rows=expected_rows,
            allow_rejected=allow_rejected,
            nan=nan,
        )
        return self._services.datasets.upload(wanted)

    def dataset(self, name: str, *, model: str = "") -> Dataset:
        """Return a dataset that is there: of a model, or one that belongs to none.

        Raises:
            ServiceError: There is none (DATASET_NOT_FOUND), or the service is away for call_timeout_s.
            ClosedError: The client is closed.
        """
        self._check_open()
        return self._services.datasets.get(name, model)

    def list_datasets(self, *, model: str = "") -> Iterator[Dataset]:
        """Yield the datasets of a model, or all of the project; pages are fetched as they are needed.

        Raises:
            ServiceError: There is no such model, or the service is away for call_timeout_s.
            ClosedError: The client is closed.
        """
        self._check_open()
        return self._services.datasets.list(model)

    def drop_dataset(self, name: str, *, model: str = "") -> None:
        """Remove a whole dataset: of a model, or one that belongs to none.

        Raises:
            ServiceError: There is none (DATASET_NOT_FOUND), it is a baseline (DATASET_IS_BASELINE), or the service is
                away for call_timeout_s.
            ClosedError: The client is closed.
        """
        self._check_open()
        self._services.datasets.drop(name, model)

    def job(self, job_id: str) -> Job:
        """Return a job of the service by its id.

        Raises:
            ServiceError: There is none (JOB_NOT_FOUND), or the service is away for call_timeout_s.
            ClosedError: The client is closed.
        """
        self._check_open()
        return self._services.jobs.get(job_id)

    def list_jobs(self, *, kind: str = "", state: JobState | None = None, subject: str = "") -> Iterator[Job]:
        """Yield the jobs of the project, newest first; pages are fetched as they are needed.

        Args:
            kind: Only jobs of this kind, e.g. "PUBLISH_DATASET". Default: all.
            state: Only jobs in this state. Default: all.
            subject: Only jobs about this. Default: all.

        Raises:
            ServiceError: The service is away for call_timeout_s.
            ClosedError: The client is closed.
        """
        self._check_open()
        return self._services.jobs.list(kind, state, subject)

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

    def delivery_report(self, producer_id: str = "") -> list[ProducerDelivery]:
        """Return where every row is, as the service knows it: its ledger against what clients report every 10 seconds.

        Args:
            producer_id: One producer (`producer_ids` names this client's). Default: all of the project.

        Raises:
            ServiceError: The service refuses (FILTER_INVALID), or is away for call_timeout_s.
            ClosedError: The client is closed.
        """
        from headrace.services.delivery import delivery_reports  # noqa: PLC0415 -- as the parts of beside_logging.py

        self._check_open()
        return list(delivery_reports(self._services.calls, producer_id))

    @property
    def dead_letters(self) -> DeadLetters:
        """Rows the service refused and keeps."""
        return self._services.dead_letters

    def quarantined(self) -> Sequence[QuarantinedBatch]:
        """Return the batches that ended the stream and were set aside, as far as quarantine_bytes holds them."""
        return [*self._events.session.quarantine.batches, *self._late.session.quarantine.batches]

    def _handle(self, name: str, version: str, info: ModelInfo | None) -> Model:
        if not name:
            raise InvalidArgumentError("a model has a name")
        return Model(
            name,
            version,
            events=self._events,
            late=self._late,
            services=self._services,
            settings=self.settings,
            sample=self._notices.samples.of(name),
            info=info,
        )

    def _check_open(self) -> None:
        if self._is_closed:
            raise ClosedError("the client is closed")

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
