"""The asyncio face of the client: the same core, awaited.

    async with headrace.aio.connect("localhost:50051") as client:
        model = client.model("flight_delay", version="v1")
        event_id = model.log(features={...}, prediction=0.83)      # no await: it never blocks
        result = await model.publish(rows)
        await client.flush()

`log`, `log_label` and the other log methods are the very ones of the sync handle. What waits for the service runs on a
thread of its own and settles a future of the caller's loop by call_soon_threadsafe; a cancelled await expires the
wait's deadline, so the thread ends within a second. gRPC's own asyncio stack is not used: a process may have many
loops, and it bears one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, Unpack

from headrace import client as sync
from headrace.awaited import in_thread, tell
from headrace.connecting.channel import Tls
from headrace.deadline import Deadline
from headrace.errors import HeadraceError, UnackedError
from headrace.model import Model
from headrace.publishing.datasets import Dataset
from headrace.reading.events import Event
from headrace.reading.events_aio import AsyncEvents
from headrace.reading.statistics import ModelStatistics
from headrace.results import BatchOutcome, PublishResult, Stats
from headrace.schemas.column import Column
from headrace.schemas.model_info import EventIdType, Identity, ModelInfo, UnknownColumns
from headrace.schemas.schema import Schema
from headrace.schemas.tasks import TaskLike
from headrace.sending.quarantine import QuarantinedBatch
from headrace.services.dead_letters import DeadLetter, DeadLetters, LetterFilter, ReplayResult
from headrace.services.delivery import ProducerDelivery
from headrace.services.jobs import Job, JobState
from headrace.services.monitoring import Grain
from headrace.settings import Settings
from headrace.times import TimeLike


class AsyncJob:
    """A job of the service; made by the calls that begin jobs, by AsyncClient.job and AsyncClient.list_jobs.

    Attributes:
        now: The job as it stood when it was last looked at: id, kind, subject, state, progress_rows, result …
    """

    def __init__(self, job: Job) -> None:
        self.now = job

    def __repr__(self) -> str:
        return f"Async{self.now!r}"

    async def refresh(self) -> AsyncJob:
        """Look again; as Job.refresh."""
        await in_thread(lambda _: self.now.refresh(), None)
        return self

    async def wait(self, timeout: float | Deadline | None = None) -> AsyncJob:  # noqa: ASYNC109 -- as the sync face
        """Wait until it has ended well; as Job.wait."""
        await in_thread(self.now.wait, timeout)
        return self

    async def cancel(self) -> AsyncJob:
        """Ask for its end; as Job.cancel."""
        await in_thread(lambda _: self.now.cancel(), None)
        return self


class AsyncModel:
    """Handle of one version of one model; made by AsyncClient.model, register or get_model.

    Attributes:
        log: Model.log, which never blocks.
        log_label: Model.log_label, which never blocks; as the next three.
        log_influences: Model.log_influences.
        log_variant: Model.log_variant.
        log_metric: Model.log_metric.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.log = model.log
        self.log_label = model.log_label
        self.log_influences = model.log_influences
        self.log_variant = model.log_variant
        self.log_metric = model.log_metric

    def __repr__(self) -> str:
        return f"Async{self._model!r}"

    @property
    def name(self) -> str:
        """Name of the model."""
        return self._model.name

    @property
    def version(self) -> str:
        """Version stored with each event; empty: none."""
        return self._model.version

    @property
    def info(self) -> ModelInfo | None:
        """The model as registered, where the handle came from register() or get_model()."""
        return self._model.info

    async def volume(
        self, grain: Grain = "day", start: TimeLike | None = None, end: TimeLike | None = None
    ) -> list[dict[str, Any]]:
        """Return how many events came and how long they took; as Model.volume."""
        return await in_thread(lambda _: self._model.volume(grain, start, end), None)

    async def performance(
        self, grain: Grain = "day", start: TimeLike | None = None, end: TimeLike | None = None
    ) -> list[dict[str, Any]]:
        """Return what predictions were worth once their labels had come; as Model.performance."""
        return await in_thread(lambda _: self._model.performance(grain, start, end), None)

    async def drift(self, start: TimeLike | None = None, end: TimeLike | None = None) -> list[dict[str, Any]]:
        """Return how far each day's columns are from the baseline dataset; as Model.drift."""
        return await in_thread(lambda _: self._model.drift(start, end), None)

    async def publish(
        self,
        source: object,
        *,
        event_id: str | None = None,
        event_time: str | None = None,
        features: Sequence[str] | None = None,
        predictions: str | Sequence[str] | None = None,
        labels: str | Sequence[str] | None = None,
        kind: str = "events",
        update: bool = False,
        nan: str = "null",
        validate_only: bool = False,
        timeout: float | Deadline | None = None,  # noqa: ASYNC109 -- the same parameter as the sync face
        on_progress: Callable[[int], object] | None = None,
    ) -> PublishResult:
        """Send many rows and wait until every one is acknowledged; as Model.publish.

        The source is read on another thread; on_progress is called on the loop. A cancelled await stops reading; what
        was sealed by then is still delivered.
        """
        loop = asyncio.get_running_loop()
        progress = None if on_progress is None else lambda rows: tell(loop, on_progress, rows)
        return await in_thread(
            lambda deadline: self._model.publish(
                source,
                event_id=event_id,
                event_time=event_time,
                features=features,
                predictions=predictions,
                labels=labels,
                kind=kind,
                update=update,
                nan=nan,
                validate_only=validate_only,
                timeout=deadline,
                on_progress=progress,
            ),
            timeout,
        )

    async def validate(
        self,
        source: object,
        *,
        event_id: str | None = None,
        event_time: str | None = None,
        features: Sequence[str] | None = None,
        predictions: str | Sequence[str] | None = None,
        labels: str | Sequence[str] | None = None,
        kind: str = "events",
        update: bool = False,
        nan: str = "null",
        timeout: float | Deadline | None = None,  # noqa: ASYNC109 -- as publish
    ) -> PublishResult:
        """Return what would become of rows, and write nothing; as Model.validate."""
        return await self.publish(
            source,
            event_id=event_id,
            event_time=event_time,
            features=features,
            predictions=predictions,
            labels=labels,
            kind=kind,
            update=update,
            nan=nan,
            validate_only=True,
            timeout=timeout,
        )

    async def event(self, event_id: str, *, event_time: TimeLike | None = None, as_of: TimeLike | None = None) -> Event:
        """Return one event with all that is known of it; as Model.event."""
        return await in_thread(lambda _: self._model.event(event_id, event_time=event_time, as_of=as_of), None)

    async def events_by_id(self, event_ids: Sequence[str], *, as_of: TimeLike | None = None) -> list[Event]:
        """Return the events with these ids; as Model.events_by_id."""
        return await in_thread(lambda _: self._model.events_by_id(event_ids, as_of=as_of), None)

    def events(
        self,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        *,
        has_label: bool | None = None,
        variant: str | None = None,
        tag: str | None = None,
        source: str | None = None,
        version: str | None = None,
        label_source: str | None = None,
        as_of: TimeLike | None = None,
        columns: Sequence[str] = (),
        limit: int | None = None,
        newest_first: bool = False,
        timeout: float | Deadline | None = None,
    ) -> AsyncEvents:
        """Return events to go through by `async for`, or to take whole; as Model.events. No call yet, so no await."""
        return AsyncEvents(
            self._model.events(
                start,
                end,
                has_label=has_label,
                variant=variant,
                tag=tag,
                source=source,
                version=version,
                label_source=label_source,
                as_of=as_of,
                columns=columns,
                limit=limit,
                newest_first=newest_first,
                timeout=timeout,
            )
        )

    async def delete_events(
        self,
        event_ids: Sequence[str] | None = None,
        *,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        confirm: str,
    ) -> AsyncJob:
        """Begin to delete events for good; as Model.delete_events."""
        return AsyncJob(
            await in_thread(lambda _: self._model.delete_events(event_ids, start=start, end=end, confirm=confirm), None)
        )

    async def statistics(self) -> ModelStatistics:
        """Return how much the model has stored; as Model.statistics."""
        return await in_thread(lambda _: self._model.statistics(), None)

    async def publish_dataset(
        self,
        source: object,
        *,
        name: str,
        event_id: str | None = None,
        event_time: str | None = None,
        features: Sequence[str] | None = None,
        predictions: str | Sequence[str] | None = None,
        labels: str | Sequence[str] | None = None,
        expected_rows: int | None = None,
        allow_rejected: bool = False,
        nan: str = "null",
    ) -> AsyncJob:
        """Publish pre-production rows as a dataset; as Model.publish_dataset."""
        return AsyncJob(
            await in_thread(
                lambda _: self._model.publish_dataset(
                    source,
                    name=name,
                    event_id=event_id,
                    event_time=event_time,
                    features=features,
                    predictions=predictions,
                    labels=labels,
                    expected_rows=expected_rows,
                    allow_rejected=allow_rejected,
                    nan=nan,
                ),
                None,
            )
        )

    async def complete_dataset(
        self,
        source: object,
        *,
        name: str,
        kind: str = "columns",
        event_id: str | None = None,
        predictions: str | Sequence[str] | None = None,
        labels: str | Sequence[str] | None = None,
        expected_rows: int | None = None,
        nan: str = "null",
    ) -> AsyncJob:
        """Add to a dataset by the ids of its rows; as Model.complete_dataset."""
        return AsyncJob(
            await in_thread(
                lambda _: self._model.complete_dataset(
                    source,
                    name=name,
                    kind=kind,
                    event_id=event_id,
                    predictions=predictions,
                    labels=labels,
                    expected_rows=expected_rows,
                    nan=nan,
                ),
                None,
            )
        )

    async def set_baseline(self, name: str | None) -> ModelInfo:
        """Name the dataset that this model's drift is measured against; as Model.set_baseline."""
        return await in_thread(lambda _: self._model.set_baseline(name), None)


class AsyncDeadLetters:
    """The dead letters of the client's project; filters are those of headrace.DeadLetters."""

    def __init__(self, core: DeadLetters) -> None:
        self._core = core

    async def list(self, **wanted: Unpack[LetterFilter]) -> AsyncIterator[DeadLetter]:
        """Yield letters, newest first; as DeadLetters.list."""
        letters = self._core.list(**wanted)
        while (letter := await in_thread(lambda _: next(letters, None), None)) is not None:
            yield letter

    async def get(self, id: int) -> DeadLetter:  # noqa: A002 -- as the sync face
        """Return one letter with its rows; as DeadLetters.get."""
        return await in_thread(lambda _: self._core.get(id), None)

    async def replay(self, ids: Sequence[int] | None = None, **wanted: Unpack[LetterFilter]) -> ReplayResult:
        """Send letters through the write path again; as DeadLetters.replay."""
        return await in_thread(lambda _: self._core.replay(ids, **wanted), None)

    async def drop(self, ids: Sequence[int] | None = None, **wanted: Unpack[LetterFilter]) -> int:
        """Remove letters for good; as DeadLetters.drop."""
        return await in_thread(lambda _: self._core.drop(ids, **wanted), None)


class AsyncClient:
    """A connection to headrace for asyncio; made by `headrace.aio.connect`.

    Attributes:
        dead_letters: Rows the service refused and keeps.
    """

    def __init__(self, core: sync.Client) -> None:
        self._core = core
        self.dead_letters = AsyncDeadLetters(core.dead_letters)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.close()
        except UnackedError:
            if error is None:
                raise

    def __repr__(self) -> str:
        return f"Async{self._core!r}"

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._core.settings

    def model(self, name: str, version: str = "") -> AsyncModel:
        """Return a handle of a model without asking the service; as Client.model."""
        return AsyncModel(self._core.model(name, version))

    async def register(
        self,
        schema: Schema,
        *,
        name: str,
        version: str = "",
        identity: Identity | None = None,
        event_id_type: EventIdType | None = None,
        unknown_columns: UnknownColumns | None = None,
    ) -> AsyncModel:
        """Make a model, or add a version and new columns to it; as Client.register."""
        model = await in_thread(
            lambda _: self._core.register(
                schema,
                name=name,
                version=version,
                identity=identity,
                event_id_type=event_id_type,
                unknown_columns=unknown_columns,
            ),
            None,
        )
        return AsyncModel(model)

    async def get_model(self, name: str, version: str = "") -> AsyncModel:
        """Return a handle of a registered model that knows its schema; as Client.get_model."""
        return AsyncModel(await in_thread(lambda _: self._core.get_model(name, version), None))

    async def list_models(self) -> AsyncIterator[ModelInfo]:
        """Yield the models of the project, by name; as Client.list_models."""
        models: Iterator[ModelInfo] = self._core.list_models()
        while (model := await in_thread(lambda _: next(models, None), None)) is not None:
            yield model

    async def update_model(
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
        """Add columns, roles and classes to a model, or change its policies; as Client.update_model."""
        return await in_thread(
            lambda _: self._core.update_model(
                name,
                add=add,
                unknown_columns=unknown_columns,
                task=task,
                add_classes=add_classes,
                positive_class=positive_class,
                threshold=threshold,
                sampling_rate=sampling_rate,
                revision=revision,
                retention=retention,
            ),
            None,
        )

    async def publish_dataset(
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
    ) -> AsyncJob:
        """Publish a dataset that belongs to no model yet; as Client.publish_dataset."""
        return AsyncJob(
            await in_thread(
                lambda _: self._core.publish_dataset(
                    source,
                    name=name,
                    schema=schema,
                    event_id=event_id,
                    event_time=event_time,
                    labels=labels,
                    expected_rows=expected_rows,
                    allow_rejected=allow_rejected,
                    nan=nan,
                ),
                None,
            )
        )

    async def dataset(self, name: str, *, model: str = "") -> Dataset:
        """Return a dataset that is there; as Client.dataset."""
        return await in_thread(lambda _: self._core.dataset(name, model=model), None)

    async def list_datasets(self, *, model: str = "") -> AsyncIterator[Dataset]:
        """Yield the datasets of a model, or all of the project; as Client.list_datasets."""
        datasets: Iterator[Dataset] = self._core.list_datasets(model=model)
        while (dataset := await in_thread(lambda _: next(datasets, None), None)) is not None:
            yield dataset

    async def drop_dataset(self, name: str, *, model: str = "") -> None:
        """Remove a whole dataset; as Client.drop_dataset."""
        await in_thread(lambda _: self._core.drop_dataset(name, model=model), None)

    async def job(self, job_id: str) -> AsyncJob:
        """Return a job of the service by its id; as Client.job."""
        return AsyncJob(await in_thread(lambda _: self._core.job(job_id), None))

    async def list_jobs(
        self, *, kind: str = "", state: JobState | None = None, subject: str = ""
    ) -> AsyncIterator[AsyncJob]:
        """Yield the jobs of the project, newest first; as Client.list_jobs."""
        jobs: Iterator[Job] = self._core.list_jobs(kind=kind, state=state, subject=subject)
        while (job := await in_thread(lambda _: next(jobs, None), None)) is not None:
            yield AsyncJob(job)

    async def flush(self, timeout: float | Deadline = 30.0) -> None:  # noqa: ASYNC109 -- as the sync face
        """Wait until every row logged so far is acknowledged; as Client.flush."""
        await in_thread(self._core.flush, timeout)

    async def close(self, timeout: float | Deadline = 30.0) -> None:  # noqa: ASYNC109 -- as the sync face
        """Accept nothing more, wait for the acks of the rest, release everything; as Client.close."""
        await in_thread(self._core.close, timeout)

    async def wait_until_queryable(self, result: PublishResult | BatchOutcome) -> None:
        """Return at once when every row of a result can be read; as Client.wait_until_queryable."""
        self._core.wait_until_queryable(result)

    def stats(self) -> Stats:
        """Return where every row is; as Client.stats."""
        return self._core.stats()

    @property
    def producer_ids(self) -> Mapping[str, str]:
        """The identities under which the service knows this client; as Client.producer_ids."""
        return self._core.producer_ids

    async def delivery_report(self, producer_id: str = "") -> list[ProducerDelivery]:
        """Return where every row is, as the service knows it; as Client.delivery_report."""
        return await in_thread(lambda _: self._core.delivery_report(producer_id), None)

    def quarantined(self) -> Sequence[QuarantinedBatch]:
        """Return the batches that were set aside; as Client.quarantined."""
        return self._core.quarantined()


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
) -> AsyncClient:
    """Return a client for asyncio; arguments as headrace.connect.

    Callbacks are called on the loop that is running now; without callbacks no loop needs to run yet.

    Raises:
        InvalidArgumentError: As headrace.connect.
        RuntimeError: A callback is given and no loop is running.
    """

    def on_loop(callback: Callable[..., object] | None) -> Callable[..., None] | None:
        if callback is None:
            return None
        loop = asyncio.get_running_loop()

        def on_its_loop(*args: Any) -> None:
            tell(loop, callback, *args)

        return on_its_loop

    return AsyncClient(
        sync.connect(
            address,
            api_key=api_key,
            project=project,
            tls=tls,
            settings=settings,
            on_result=on_loop(on_result),
            on_error=on_loop(on_error),
            on_drop=on_loop(on_drop),
        )
    )
