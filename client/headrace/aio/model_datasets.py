"""What a model handle does with datasets, awaited."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.aio.awaited import in_thread
from headrace.aio.job import AsyncJob
from headrace.handles.model import Model
from headrace.schemas.model_info import ModelInfo


class AsyncModelDatasets:
    """The pre-production part of a model handle."""

    _model: Model

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
