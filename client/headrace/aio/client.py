"""The client for asyncio: the sync one, awaited."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from headrace import client as sync
from headrace.aio.awaited import in_thread, tell
from headrace.aio.dead_letters import AsyncDeadLetters
from headrace.aio.job import AsyncJob
from headrace.aio.model import AsyncModel
from headrace.connecting.channel import Tls
from headrace.deadline import Deadline
from headrace.errors import HeadraceError, UnackedError
from headrace.publishing.datasets import Dataset
from headrace.results import BatchOutcome, PublishResult, Stats
from headrace.schemas.column import Column
from headrace.schemas.model_info import EventIdType, Identity, ModelInfo, UnknownColumns
from headrace.schemas.schema import Schema
from headrace.schemas.tasks import TaskLike
from headrace.sending.quarantine import QuarantinedBatch
from headrace.services.delivery import ProducerDelivery
from headrace.services.jobs import Job, JobState
from headrace.settings import Settings


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

    async def flush_to_spool(self, timeout: float | Deadline = 5.0) -> None:  # noqa: ASYNC109 -- as the sync face
        """Wait until every row logged so far is on disk; as Client.flush_to_spool."""
        await in_thread(self._core.flush_to_spool, timeout)

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
