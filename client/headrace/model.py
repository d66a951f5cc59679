"""A model handle: what a model server holds to log its events, and what comes after them (late_log.py).

Making one needs no call, so a server starts while headrace is away. `log` is the hot path: it stamps the time, makes
the id, and appends one tuple; all the rest happens on other threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.deadline import Deadline
from headrace.encoding.table import Header
from headrace.errors import InvalidArgumentError
from headrace.ids import uuid7
from headrace.late_log import LateLog
from headrace.logged.late_rows import kind_named
from headrace.logged.sampling import Sample, is_kept
from headrace.media import Media
from headrace.results import PublishResult
from headrace.sending.lane import Lane
from headrace.settings import Settings
from headrace.times import TimeLike, unix_micros
from headrace.v1 import batch_pb2

if TYPE_CHECKING:
    from headrace.beside_logging import Services
    from headrace.reading.events import Event, Events
    from headrace.reading.statistics import ModelStatistics
    from headrace.schemas.model_info import ModelInfo
    from headrace.services.jobs import Job
    from headrace.services.monitoring import Grain
    from headrace.sources.plan import Roles

_time_ns = time.time_ns


class Model(LateLog):
    """Handle of one version of one model; made by Client.model, register or get_model.

    Attributes:
        name: Name of the model.
        version: Version stored with each event; empty: none.
        events_header: What batches of its events say about themselves.
        info: The model as registered, where the handle came from register() or get_model(); else None.
    """

    def __init__(
        self,
        name: str,
        version: str,
        *,
        events: Lane,
        late: Lane,
        services: Services,
        settings: Settings,
        sample: Sample,
        info: ModelInfo | None = None,
    ) -> None:
        super().__init__(name, version, late, strict=settings.strict)
        self.info = info
        self.events_header = self.header(batch_pb2.RECORD_KIND_EVENTS)
        self._events = events
        self._buffer = events.buffer
        self._services = services
        self._sample = sample

    def __repr__(self) -> str:
        return f"Model({self.name!r}, version={self.version!r})"

    def header(self, kind: batch_pb2.RecordKind.ValueType) -> Header:
        """Return what batches of a kind say about themselves."""
        return Header(kind, self.name, self.version)

    def log(
        self,
        features: Mapping[str, object] | None = None,
        prediction: object = None,
        *,
        predictions: Mapping[str, object] | None = None,
        probabilities: Mapping[str, float] | None = None,
        media: Media | None = None,
        event_id: str | None = None,
        event_time: TimeLike | None = None,
        latency_ms: float | None = None,
        latency_s: float | None = None,
        variant: str | None = None,
        source: str | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, object] | None = None,
        trace_id: str | None = None,
        span_id: str | None = None,
        inclusion_probability: float | None = None,
        influences: Mapping[str, float] | None = None,
    ) -> str:
        """Log one inference; returns at once.

        Types of values are looked at later, batch by batch; a row that cannot be sent or stored is counted and warned
        of, and never takes another one with it. Values are not copied deeply: do not change lists or dicts inside
        `features` after the call.

        Args:
            features: Inputs of the model, by name: bool, int, float, str, datetime, list of numbers (embedding), list
                of str, dict (JSON), None.
            prediction: The model's only output, or of several the one its task asks for first; a vision.Found for what
                was found in an image.
            predictions: Outputs of the model, by name, where there are several.
            probabilities: Class → probability, where the model has a column of role PROBABILITIES.
            media: The image or document that it was made of.
            event_id: Your id, up to 128 bytes. Default: a new UUIDv7 that carries event_time's millisecond. On a
                UNIQUE model (event_id, event_time) is the event's identity.
            event_time: When the event happened; naive datetimes are UTC, numbers Unix seconds. Default: now.
            latency_ms: How long the inference took, in milliseconds.
            latency_s: The same in seconds; give one of them.
            variant: Name of the variant that answered, e.g. "canary".
            source: Where the event comes from, e.g. a host or an endpoint.
            tags: Words to find events by.
            metadata: Anything else, kept as JSON.
            trace_id: W3C trace id.
            span_id: W3C span id.
            inclusion_probability: Probability with which you sampled this event; it is then kept whatever the model's
                sampling rate is. Default: that rate, where it is below 1.
            influences: How much each feature moved the model's only prediction; sent after the event, as
                log_influences, which can say more.

        Returns:
            The event id: give it to log_label when the truth is known.

        Raises:
            BufferFullError: The buffer is full and the overflow policy is RAISE.
            InvalidArgumentError: An argument cannot be used, and the client is strict. Else such rows are counted.
            ClosedError: The client is closed, and strict. Else such rows are counted.
        """
        try:
            if event_time is None:
                now = _time_ns()
                micros = now // 1000
                if event_id is None:
                    event_id = uuid7(now // 1_000_000)
            else:
                micros = unix_micros(event_time)
                if event_id is None:
                    event_id = uuid7(micros // 1000)
            if self._sample.bound is not None and inclusion_probability is None:
                if not is_kept(event_id, self._sample.bound):
                    self._events.buffer.skip()
                    return event_id
                inclusion_probability = self._sample.rate
            if latency_s is not None:
                latency_ms = latency_s * 1e3
            row = (
                self,
                event_id,
                micros,
                None if features is None else dict(features),
                prediction,
                predictions,
                None if probabilities is None and media is None else _wired(probabilities, media),
                latency_ms,
                variant,
                source,
                tags,
                metadata,
                trace_id,
                span_id,
                inclusion_probability,
            )
            buffer = self._buffer
            if len(buffer.rows) < buffer.notice:
                buffer.rows.append(row)
            else:
                self._events.admit(row)
        except Exception as error:  # noqa: BLE001 -- whatever it is, inference goes before its log
            self._refused(error, self._events)
            return event_id or uuid7()
        if influences is not None:
            self.log_influences(event_id, influences, event_time=micros / 1e6)
        return event_id

    def publish(
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
        timeout: float | Deadline | None = None,
        on_progress: Callable[[int], object] | None = None,
    ) -> PublishResult:
        """Send many rows and wait until every one is acknowledged.

        Args:
            source: List (or iterator) of dicts, dict of lists, pandas or polars DataFrame, Arrow table or reader, or
                the path of a .parquet or .csv file. Large sources are streamed.
            event_id: Column that holds the ids. Default: "event_id" where there is one, else new ids are made.
            event_time: Column that holds the times. Default: "event_time" where there is one, else now.
            features: Columns that are features; with features or predictions given, only these, the labels and system
                columns are sent. Default: every column that is nothing else.
            predictions: Column or columns that are predictions.
            labels: Column or columns that are labels; they are sent as labels, after their events. Default: the
                registered ones where the handle knows them (register, get_model); of kind "labels" every other column.
            kind: "events", or what the rows are of events that are (or will be) there: "labels", "influences",
                "variants" or "metrics", with the columns that docs/late-kinds.md names.
            update: True means kind="labels".
            nan: "null" turns NaN of a pandas DataFrame into null, "keep" keeps it. NaN elsewhere is a value.
            validate_only: Write nothing, not even dead letters: the result says what would become of the rows. Labels
                are then looked for among the events that are stored already.
            timeout: Seconds to wait for the last ack, or a Deadline, which another thread can expire. Default: as long
                as it takes.
            on_progress: Called with the number of rows acknowledged so far, after each batch.

        Returns:
            Counts, ids and verdicts; row numbers are those of the source.

        Raises:
            PublishTimeout: The timeout passed; what was sealed is still being delivered.
            SessionFailedError: The session is over (FENCED, or refused).
            InvalidArgumentError: A named column is not in the source, the source or `kind` is none that is known, or
                features or predictions are named for a late kind (reason IMMUTABLE_COLUMN).
            ClosedError: The client is closed.
        """
        late = kind_named("labels" if update else kind) if update or kind != "events" else None
        roles = _roles(event_id, event_time, features, predictions, labels, late=late)
        deliver = self._services.validator.validate if validate_only else self._services.publisher.publish
        return deliver(self, source, roles, nan=nan, deadline=Deadline.of(timeout), on_progress=on_progress)

    def validate(
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
        timeout: float | Deadline | None = None,
    ) -> PublishResult:
        """Return what would become of rows, and write nothing: publish() with validate_only=True."""
        return self.publish(
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

    def publish_dataset(
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
    ) -> Job:
        """Publish pre-production rows as a dataset: there whole, or not at all, and immutable from then on.

        Returns once the service has begun; the source is read while the job goes on, so leave it alone until
        `job.wait()` has returned. A process that ends before that ends the job, too.

        Args:
            source: As for publish; files, readers and iterators are streamed, whatever their size.
            name: Name of the dataset, 1–128 bytes; a model has any number of datasets.
            event_id: Column that holds the ids; each names one row. Default: "event_id" where there is one, else new
                ids are made.
            event_time: Column that holds the times. Default: "event_time" where there is one, else there are none.
            features: As for publish.
            predictions: As for publish.
            labels: Column or columns that are labels. Default: the registered ones where the handle knows them
                (register, get_model).
            expected_rows: Rows there must be; another number fails the job with DATASET_ROW_COUNT.
            allow_rejected: Go on without rows that are refused. Default: one fails the job with DATASET_ROWS_REJECTED;
                `job.result["errors"]` names them either way.
            nan: As for publish.

        Raises:
            ServiceError: The service refuses (DATASET_EXISTS, MODEL_NOT_FOUND, NAME_INVALID), or is away for
                call_timeout_s.
            InvalidArgumentError: `nan` is neither "null" nor "keep".
        """
        from headrace.publishing.upload import Wanted  # noqa: PLC0415 -- as the parts of beside_logging.py

        wanted = Wanted(
            source=source,
            name=name,
            model=self.name,
            version=self.version,
            roles=_roles(event_id, event_time, features, predictions, labels),
            info=self.info,
            expected_rows=expected_rows,
            allow_rejected=allow_rejected,
            nan=nan,
        )
        return self._services.datasets.upload(wanted)

    def complete_dataset(
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
    ) -> Job:
        """Add to a dataset by the ids of its rows: this model's predictions, labels, influences; all at once.

        A dataset that belongs to no model becomes one of this model, under the same name; it stays as it is for the
        next model. What the dataset has is never changed: a column with any value is refused (DATASET_IMMUTABLE), and
        so is an id that is not there (DATASET_ID_UNKNOWN). Ids that the source leaves out stay without.

        Args:
            source: As for publish_dataset.
            name: Name of the dataset.
            kind: "columns", or "influences": how much each feature moved a prediction, with the columns that
                docs/late-kinds.md names, one row an id and output, once for each dataset of the model.
            event_id: Column that holds the ids. Default: "event_id".
            predictions: As for publish. Default: every column that is nothing else.
            labels: As for publish_dataset.
            expected_rows: As for publish_dataset.
            nan: As for publish.

        Raises:
            ServiceError: The service refuses (DATASET_NOT_FOUND, MODEL_NOT_FOUND, TYPE_CONFLICT), or is away for
                call_timeout_s.
            InvalidArgumentError: As publish_dataset, or `kind` is none of the two.
        """
        from headrace.publishing.upload import PARTS, Wanted  # noqa: PLC0415 -- as the parts of beside_logging.py

        if kind not in PARTS:
            raise InvalidArgumentError(f"kind={kind!r}: {' or '.join(map(repr, PARTS))}")
        late = batch_pb2.RECORD_KIND_INFLUENCES if kind == "influences" else None
        wanted = Wanted(
            source=source,
            name=name,
            model=self.name,
            version="",
            roles=_roles(event_id, None, None, predictions, labels, late=late),
            info=self.info,
            expected_rows=expected_rows,
            part=PARTS[kind],
            nan=nan,
        )
        return self._services.datasets.upload(wanted)

    def set_baseline(self, name: str | None) -> ModelInfo:
        """Name the dataset that this model's drift is measured against; None: none. Returns the model as it is now.

        Raises:
            ServiceError: There is no such dataset of this model (DATASET_NOT_FOUND), or the service is away for
                call_timeout_s.
        """
        self.info = self._services.datasets.set_baseline(self.name, name)
        return self.info

    def drift(self, start: TimeLike | None = None, end: TimeLike | None = None) -> list[dict[str, Any]]:
        """Return how far each day's columns are from the model's baseline dataset; nothing where it has none.

        Arguments and errors as of volume. A row has `bucket` (the day), `column_name`, `dataset`, `rows`,
        `baseline_rows`, `psi`, `js_distance` and `refreshed_at`.
        """
        return self._services.monitoring.drift(self.name, start, end)

    def delete_events(
        self,
        event_ids: Sequence[str] | None = None,
        *,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        confirm: str,
    ) -> Job:
        """Begin to delete events for good, with their labels and all that came late for them.

        Args:
            event_ids: Their ids, at most 10,000. Every event with such an id is deleted.
            start: First event_time that is deleted, with its time zone; instead of ids.
            end: First event_time that stays, with its time zone.
            confirm: The model's name once more.

        Returns:
            The job: `wait()` for it; its result says how many rows of which table are gone. What is deleted when it is
            cancelled stays deleted.

        Raises:
            InvalidArgumentError: Ids and times are both given or both missing, one end is missing, a time has no zone,
                there are too many ids.
            ServiceError: The service refuses (DELETE_NOT_CONFIRMED, DELETE_EVERYTHING, TIME_RANGE_INVALID …), or is
                away.
            ClosedError: The client is closed.
        """
        return self._services.deletions.delete_events(self.name, event_ids, start=start, end=end, confirm=confirm)


def _wired(probabilities: Mapping[str, float] | None, media: Media | None) -> Mapping[str, object]:
    """Return what is seldom given, by its name on the wire."""
    cells = {} if media is None else dict(media.cells())
    return cells if probabilities is None else cells | {"probabilities": probabilities}


def _roles(
    event_id: str | None,
    event_time: str | None,
    features: Sequence[str] | None,
    predictions: str | Sequence[str] | None,
    labels: str | Sequence[str] | None,
    *,
    late: batch_pb2.RecordKind.ValueType | None = None,
) -> Roles:
    """Return what the caller said of the columns; one name stands for a list of one."""
    from headrace.sources.plan import Roles  # noqa: PLC0415 -- as the parts of beside_logging.py

    return Roles(
        event_id=event_id,
        event_time=event_time,
        features=features,
        predictions=[predictions] if isinstance(predictions, str) else predictions,
        labels=[labels] if isinstance(labels, str) else labels,
        late=late,
    )
