"""What a model handle reads back, awaited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.aio.awaited import in_thread
from headrace.aio.events import AsyncEvents
from headrace.deadline import Deadline
from headrace.handles.model import Model
from headrace.reading.events import Event
from headrace.reading.statistics import ModelStatistics
from headrace.services.monitoring import Grain
from headrace.times import TimeLike


class AsyncReadings:
    """The reading half of a model handle."""

    _model: Model

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

    async def statistics(self) -> ModelStatistics:
        """Return how much the model has stored; as Model.statistics."""
        return await in_thread(lambda _: self._model.statistics(), None)

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
