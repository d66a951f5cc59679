"""A model handle whose waiting is awaited; its log methods are the very ones of the sync handle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from headrace.aio.awaited import in_thread, tell
from headrace.aio.job import AsyncJob
from headrace.aio.model_datasets import AsyncModelDatasets
from headrace.aio.readings import AsyncReadings
from headrace.deadline import Deadline
from headrace.handles.model import Model
from headrace.results import PublishResult
from headrace.schemas.model_info import ModelInfo
from headrace.times import TimeLike


class AsyncModel(AsyncReadings, AsyncModelDatasets):
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
