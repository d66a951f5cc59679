"""What a model handle reads back: events, statistics, and the figures of monitoring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from headrace.deadline import Deadline
from headrace.times import TimeLike

if TYPE_CHECKING:
    from headrace.beside_logging import Services
    from headrace.reading.events import Event, Events
    from headrace.reading.statistics import ModelStatistics
    from headrace.services.monitoring import Grain


class Readings:
    """The reading half of a model handle. Versions share their tables: what is read is of all of them.

    Attributes:
        name: Name of the model.
    """

    name: str
    _services: Services

    def event(self, event_id: str, *, event_time: TimeLike | None = None, as_of: TimeLike | None = None) -> Event:
        """Return one event with all that is known of it: labels with their history, influences, variants, metrics.

        Args:
            event_id: The event's id. Of several events with it, the newest is returned.
            event_time: The event's time, where it is known: one chunk is searched instead of all.
            as_of: What was known at this moment. Default: all that is known now.

        Raises:
            EventNotFoundError: No event has this id.
            ServiceError: The service refuses, or is away for call_timeout_s.
            InvalidArgumentError: A time is none.
            ClosedError: The client is closed.
        """
        return self._services.reader.by_id(self.name, [event_id], event_time=event_time, as_of=as_of)[-1]

    def events_by_id(self, event_ids: Sequence[str], *, as_of: TimeLike | None = None) -> list[Event]:
        """Return the events with these ids, in the order of the ids; ids without an event are left out.

        Of several ids, columns of bytes are left out, too: event() has them.

        Args:
            event_ids: Any number of ids; they are asked for 500 at a time.
            as_of: As event.

        Raises:
            ServiceError, InvalidArgumentError, ClosedError: As event.
        """
        return self._services.reader.by_id(self.name, event_ids, as_of=as_of, missing_ok=True)

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
    ) -> Events:
        """Return the events of start <= event_time < end that pass the filters, with their latest labels.

        Nothing is read yet: iterate over the result, or take it whole by to_list, to_arrow, to_pandas or to_polars.
        Each of these reads anew and sees one moment of the database; whatever was acknowledged before is in it.

        Args:
            start: First event_time. Naive datetimes are UTC. Default: from the beginning.
            end: First event_time that is no longer meant. Default: to the end.
            has_label: True: events with a label only; False: those without. Default: both.
            variant: Events of this variant only.
            tag: Events with this tag only.
            source: Events from this source only.
            version: Events of this version of the model only. Default: all, whatever version the handle has.
            label_source: Look at labels from this source only.
            as_of: What was known at this moment: events that had come, labels recorded. Default: all that is known.
            columns: Columns to read; event_id and event_time come always. Default: all but bytes.
            limit: Most events. Default: all.
            newest_first: The newest come first. Default: the oldest.
            timeout: Seconds that a whole read may take, or a Deadline. Default: as long as it takes; each part has
                call_timeout_s to come.

        Raises:
            InvalidArgumentError: A time is none, or the limit is below 1. What the service refuses
                (TIME_RANGE_INVALID, UNKNOWN_COLUMN, MODEL_NOT_FOUND …) is raised by the reading.
        """
        return self._services.reader.events(
            self.name,
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

    def statistics(self) -> ModelStatistics:
        """Return how much the model has stored, over all versions; each count says whether it is exact.

        Raises:
            ModelNotFoundError: There is no such model.
            ServiceError: As event.
            ClosedError: The client is closed.
        """
        return self._services.reader.statistics(self.name)

    def volume(
        self, grain: Grain = "day", start: TimeLike | None = None, end: TimeLike | None = None
    ) -> list[dict[str, Any]]:
        """Return how many events came and how long they took, by bucket, version and variant.

        What monitoring reads follows the rows by some seconds.

        Args:
            grain: "hour" or "day", UTC.
            start: First bucket. Default: the first there is.
            end: Buckets before this time. Default: all.

        Returns:
            Dicts with `bucket`, `model_version`, `variant`, `events`, `estimated_events`, `latency_ms_mean`,
            `latency_ms_p50`, `_p95`, `_p99`, `latency_ms_max` and `refreshed_at`; a latency that nobody sent is None.

        Raises:
            ModelNotFoundError: There is no such model.
            ServiceError: The service refuses, or is away for call_timeout_s.
            ClosedError: The client is closed.
        """
        return self._services.monitoring.volume(self.name, grain, start, end)

    def performance(
        self, grain: Grain = "day", start: TimeLike | None = None, end: TimeLike | None = None
    ) -> list[dict[str, Any]]:
        """Return what predictions were worth once their labels had come, by bucket, version and variant.

        Arguments and errors as of volume. A row has `bucket`, `model_version`, `variant`, `is_shadow`, `among` (name of
        a shadow variant: only events that it scored; empty: all), `task`, `labelled`, `refreshed_at` and the measures
        of the task: `accuracy`, `precision`, `recall`, `f1`, `true_positives` and its like, `auc` with `auc_error`,
        `log_loss`, `brier`; `mae`, `rmse`, `bias`, `r2`. The others are None.
        """
        return self._services.monitoring.performance(self.name, grain, start, end)

    def drift(self, start: TimeLike | None = None, end: TimeLike | None = None) -> list[dict[str, Any]]:
        """Return how far each day's columns are from the model's baseline dataset; nothing where it has none.

        Arguments and errors as of volume. A row has `bucket` (the day), `column_name`, `dataset`, `rows`,
        `baseline_rows`, `psi`, `js_distance` and `refreshed_at`.
        """
        return self._services.monitoring.drift(self.name, start, end)
