"""What a model handle logs about events after they were served: labels, influences, variants, metrics.

All of it goes through the client's late lane. Each call appends one tuple and returns, as log() does; types of values
are looked at later, batch by batch.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from headrace.encoding.table import Header
from headrace.errors import BufferFullError, InvalidArgumentError
from headrace.logged.late_rows import KINDS, Sheet
from headrace.sending.lane import Lane
from headrace.times import TimeLike, as_datetime
from headrace.v1 import batch_pb2


class LateLog:
    """The late half of a model handle.

    Attributes:
        name: Name of the model.
        version: Version stored with each event; empty: none.
    """

    def __init__(self, name: str, version: str, late: Lane, *, strict: bool) -> None:
        self.name = name
        self.version = version
        self._late = late
        self._strict = strict
        self._sheets = {kind: Sheet(Header(kind, name, version)) for kind in KINDS.values()}

    def log_label(
        self,
        event_id: str,
        *,
        event_time: TimeLike | None = None,
        label_time: TimeLike | None = None,
        source: str | None = None,
        **labels: object,
    ) -> None:
        """Log the truth about an event, at any time and in any order; returns at once.

        Args:
            event_id: The event's id.
            event_time: The event's time, where it is known and the id is no UUIDv7: saves the search for the event.
            label_time: When the label became known. Left empty when not given, so that a script run again repeats its
                labels (DUPLICATE) instead of adding revisions.
            source: Who says so; each source has revisions of its own.
            **labels: Values by label name; `label=` names a model's only label.

        Raises:
            BufferFullError: The buffer is full and the overflow policy is RAISE.
            InvalidArgumentError: An argument cannot be used, and the client is strict. Else such rows are counted.
            ClosedError: The client is closed, and strict. Else such rows are counted.
        """
        self._log_late(
            batch_pb2.RECORD_KIND_LABELS,
            event_id,
            event_time,
            source,
            labels,
            system={},
            times={"label_time": label_time},
        )

    def log_influences(
        self,
        event_id: str,
        influences: Mapping[str, float],
        *,
        output: str | None = None,
        base_value: float | None = None,
        event_time: TimeLike | None = None,
        source: str | None = None,
    ) -> None:
        """Log how much each feature moved a prediction, as SHAP says it; at any time, returns at once.

        Args:
            event_id: The event's id.
            influences: One number a feature, by the feature's name; features left out have none.
            output: Prediction they are about, or one of its classes as "prediction:class". May be left out where the
                model has one prediction.
            base_value: Value that the influences lead away from.
            event_time: As log_label.
            source: Who says so, e.g. the explainer.

        Raises:
            BufferFullError, InvalidArgumentError, ClosedError: As log_label.
        """
        system: dict[str, object] = {"output": output, "base_value": base_value}
        self._log_late(batch_pb2.RECORD_KIND_INFLUENCES, event_id, event_time, source, influences, system=system)

    def log_variant(
        self,
        event_id: str,
        variant: str,
        prediction: object = None,
        *,
        predictions: Mapping[str, object] | None = None,
        latency_ms: float | None = None,
        latency_s: float | None = None,
        model_version: str | None = None,
        event_time: TimeLike | None = None,
        source: str | None = None,
    ) -> None:
        """Log what another model (shadow, canary, a correction) says of an event; any number, at any time.

        Args:
            event_id: The event's id.
            variant: Name of the variant, e.g. "shadow-2".
            prediction: Its only output.
            predictions: Its outputs by name, where the model has several.
            latency_ms: How long it took, in milliseconds.
            latency_s: The same in seconds; give one of them.
            model_version: Version of the variant.
            event_time: As log_label.
            source: Who says so.

        Raises:
            BufferFullError, InvalidArgumentError, ClosedError: As log_label.
        """
        if latency_s is not None:
            latency_ms = latency_s * 1e3
        system: dict[str, object] = {
            "variant": variant,
            "prediction": prediction,
            "latency_ms": latency_ms,
            "model_version": model_version,
        }
        self._log_late(batch_pb2.RECORD_KIND_VARIANTS, event_id, event_time, source, predictions, system=system)

    def log_metric(
        self,
        name: str,
        value: float,
        *,
        event_id: str | None = None,
        metric_time: TimeLike | None = None,
        event_time: TimeLike | None = None,
        source: str | None = None,
    ) -> None:
        """Log a number of your own, about an event or about a time: revenue, clicks, a rating.

        Args:
            name: Name of the metric.
            value: Its value.
            event_id: Event that it is about. Default: none, it is about a time.
            metric_time: Time that it is about. Default: now for a metric about no event, else none. Equal name and
                time is the same metric: another value is a revision.
            event_time: As log_label.
            source: Who says so.

        Raises:
            BufferFullError, InvalidArgumentError, ClosedError: As log_label.
        """
        if event_id is None and metric_time is None:
            metric_time = time.time()
        system: dict[str, object] = {"name": name, "value": value}
        times = {"metric_time": metric_time}
        self._log_late(batch_pb2.RECORD_KIND_METRICS, event_id, event_time, source, None, system=system, times=times)

    def _log_late(
        self,
        kind: batch_pb2.RecordKind.ValueType,
        event_id: str | None,
        event_time: TimeLike | None,
        source: str | None,
        own: Mapping[str, object] | None,
        *,
        system: dict[str, object],
        times: Mapping[str, TimeLike | None] | None = None,
    ) -> None:
        try:
            for name, moment in (times or {}).items():
                system[name] = None if moment is None else as_datetime(moment)
            time_of_event = None if event_time is None else as_datetime(event_time)
            row = (self._sheets[kind], event_id, time_of_event, source, system, None if own is None else dict(own))
            buffer = self._late.buffer
            if len(buffer.rows) < buffer.notice:
                buffer.rows.append(row)
            else:
                self._late.admit(row)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the caller's work goes before its log
            self._refused(error, self._late)

    def _refused(self, error: Exception, lane: Lane) -> None:
        """Count a row that could not be accepted; raise where the user asked for it."""
        if isinstance(error, BufferFullError):
            raise error
        reason = getattr(error, "reason", InvalidArgumentError.reason)
        lane.refuse(reason, error)
        if self._strict:
            raise error if hasattr(error, "reason") else InvalidArgumentError(str(error)) from error
