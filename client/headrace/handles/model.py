"""A model handle: what a model server holds to log its events, and what comes after them (late_log.py).

Making one needs no call, so a server starts while headrace is away. `log` is the hot path: it stamps the time, makes
the id, and appends one tuple; all the rest happens on other threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from headrace.deadline import Deadline
from headrace.encoding.table import Header
from headrace.handles.late_log import LateLog
from headrace.handles.model_datasets import ModelDatasets
from headrace.handles.readings import Readings
from headrace.handles.roles import roles_said
from headrace.ids import uuid7
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
    from headrace.schemas.model_info import ModelInfo
    from headrace.services.jobs import Job

_time_ns = time.time_ns


class Model(LateLog, Readings, ModelDatasets):
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
        roles = roles_said(event_id, event_time, features, predictions, labels, late=late)
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
