"""What a client asks of its project: models, datasets, jobs, dead letters, reports; a facet of the client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from headrace.errors import ClosedError, InvalidArgumentError
from headrace.handles.model import Model

if TYPE_CHECKING:
    from headrace.beside_logging import Services
    from headrace.publishing.datasets import Dataset
    from headrace.schemas.column import Column
    from headrace.schemas.model_info import EventIdType, Identity, ModelInfo, UnknownColumns
    from headrace.schemas.schema import Schema
    from headrace.schemas.tasks import TaskLike
    from headrace.sending.lane import Lane
    from headrace.sending.notices import Notices
    from headrace.services.dead_letters import DeadLetters
    from headrace.services.delivery import ProducerDelivery
    from headrace.services.jobs import Job, JobState
    from headrace.settings import Settings


class ProjectHandle:
    """The part of a client that is about its project.

    Attributes:
        settings: The settings in force.
    """

    settings: Settings
    _services: Services
    _events: Lane
    _late: Lane
    _notices: Notices
    _models: dict[tuple[str, str], Model]
    _is_closed: bool

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
