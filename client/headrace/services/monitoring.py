"""What monitoring reads of a model: its roll-ups, as lists of dicts that any frame is made of."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from typing import Any, Literal, Protocol

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from headrace.connecting.calls import Calls
from headrace.errors import InvalidArgumentError
from headrace.times import TimeLike, as_datetime
from headrace.v1 import monitoring_service_pb2 as pb
from headrace.v1.monitoring_service_pb2_grpc import MonitoringServiceStub as Stub

Grain = Literal["hour", "day"]
_GRAINS = {"hour": pb.GRAIN_HOUR, "day": pb.GRAIN_DAY}
PAGE_ROWS = 10_000


class _Page(Protocol):
    rows: Any
    next_page_token: str


class Monitoring:
    """Reads roll-ups; see Model.volume, performance and drift.

    Args:
        calls: How the service is called.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def volume(self, model: str, grain: Grain, start: TimeLike | None, end: TimeLike | None) -> list[dict[str, Any]]:
        """Return events and latency by bucket, version and variant."""
        request = pb.GetVolumeRequest(project=self._calls.project, model=model, grain=_grain(grain))
        return self._rows(request, lambda: self._calls.call(Stub, lambda stub: stub.GetVolume, request), start, end)

    def performance(
        self, model: str, grain: Grain, start: TimeLike | None, end: TimeLike | None
    ) -> list[dict[str, Any]]:
        """Return what predictions were worth, by bucket, version and variant."""
        request = pb.GetPerformanceRequest(project=self._calls.project, model=model, grain=_grain(grain))
        return self._rows(
            request, lambda: self._calls.call(Stub, lambda stub: stub.GetPerformance, request), start, end
        )

    def drift(self, model: str, start: TimeLike | None, end: TimeLike | None) -> list[dict[str, Any]]:
        """Return how far columns are from the baseline, by day and column."""
        request = pb.GetDriftRequest(project=self._calls.project, model=model)
        return self._rows(request, lambda: self._calls.call(Stub, lambda stub: stub.GetDrift, request), start, end)

    def _rows(
        self,
        request: pb.GetVolumeRequest | pb.GetPerformanceRequest | pb.GetDriftRequest,
        call: Callable[[], _Page],
        start: TimeLike | None,
        end: TimeLike | None,
    ) -> list[dict[str, Any]]:
        """All rows, page by page."""
        request.page_size = PAGE_ROWS
        if start is not None:
            request.from_time.FromDatetime(as_datetime(start))
        if end is not None:
            request.until_time.FromDatetime(as_datetime(end))
        rows: list[dict[str, Any]] = []
        while True:
            page = call()
            rows += map(_as_dict, page.rows)
            if not page.next_page_token:
                return rows
            request.page_token = page.next_page_token


def _grain(grain: str) -> pb.Grain.ValueType:
    if grain not in _GRAINS:
        raise InvalidArgumentError(f"grain is 'hour' or 'day', not {grain!r}")
    return _GRAINS[grain]


def _as_dict(row: Message) -> dict[str, Any]:
    """A row by the names of its fields: times as datetimes, what is absent as None."""
    shown: dict[str, Any] = {}
    for field in row.DESCRIPTOR.fields:
        value = getattr(row, field.name)
        if field.has_presence and not row.HasField(field.name):
            shown[field.name] = None
        else:
            shown[field.name] = value.ToDatetime(UTC) if isinstance(value, Timestamp) else value
    return shown
