"""Reads back: what a model handle asks QueryService for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import grpc

from headrace.connecting.calls import Calls
from headrace.connecting.result_stream import ResultStreams
from headrace.deadline import Deadline
from headrace.errors import EventNotFoundError, InvalidArgumentError
from headrace.reading.events import Event, Events, Part, Parts, Row
from headrace.reading.statistics import ModelStatistics
from headrace.times import TimeLike, as_datetime
from headrace.v1 import batch_pb2, model_pb2, query_service_pb2, query_service_pb2_grpc

Request = TypeVar("Request")
Response = TypeVar("Response")
Stub = query_service_pb2_grpc.QueryServiceStub

IDS_A_CALL = 500
_FIELDS = {
    batch_pb2.RECORD_KIND_LABELS: "history",
    batch_pb2.RECORD_KIND_INFLUENCES: "influences",
    batch_pb2.RECORD_KIND_VARIANTS: "variants",
    batch_pb2.RECORD_KIND_METRICS: "metrics",
}
_OF_LABELS = ("label_time", "recorded_time")


class Reader:
    """Calls QueryService.

    Args:
        calls: The client's unary calls.
        streams: Its streams of results.
    """

    def __init__(self, calls: Calls, streams: ResultStreams) -> None:
        self._calls = calls
        self._streams = streams

    def by_id(
        self,
        model: str,
        event_ids: Sequence[str],
        *,
        event_time: TimeLike | None = None,
        as_of: TimeLike | None = None,
        missing_ok: bool = False,
    ) -> list[Event]:
        """Return the events with these ids, in the order of the ids; see Model.events_by_id."""
        ids = list(dict.fromkeys(event_ids))
        found: list[Event] = []
        for start in range(0, len(ids), IDS_A_CALL):
            request = query_service_pb2.GetEventsRequest(
                project=self._calls.project, model=model, event_ids=ids[start : start + IDS_A_CALL]
            )
            _set_times(request, event_time=event_time, as_of=as_of)
            try:
                found += _events(self._call(lambda stub: stub.GetEvents, request))
            except EventNotFoundError:
                if not missing_ok:
                    raise
        place = {event_id: index for index, event_id in enumerate(ids)}
        return sorted(found, key=lambda event: (place.get(event.event_id, len(ids)), event.event_time))

    def events(
        self,
        model: str,
        start: TimeLike | None,
        end: TimeLike | None,
        *,
        has_label: bool | None,
        variant: str | None,
        tag: str | None,
        source: str | None,
        version: str | None,
        label_source: str | None,
        as_of: TimeLike | None,
        columns: Sequence[str],
        limit: int | None,
        newest_first: bool,
        timeout: float | Deadline | None,
    ) -> Events:
        """Return the events that pass the filters; see Model.events."""
        if limit is not None and limit < 1:
            raise InvalidArgumentError(f"limit={limit}: at least 1, or None for all")
        request = query_service_pb2.QueryEventsRequest(
            project=self._calls.project,
            model=model,
            has_label=has_label,
            variant=variant or "",
            tag=tag or "",
            source=source or "",
            model_version=version or "",
            label_source=label_source or "",
            columns=columns,
            limit=limit or 0,
            order=query_service_pb2.EVENT_ORDER_NEWEST_FIRST
            if newest_first
            else query_service_pb2.EVENT_ORDER_OLDEST_FIRST,
        )
        _set_times(request, start_time=start, end_time=end, as_of=as_of)

        def call(
            channel: grpc.Channel, metadata: tuple[tuple[str, str], ...]
        ) -> Iterator[query_service_pb2.QueryEventsResponse]:
            return Stub(channel).QueryEvents(request, metadata=metadata)

        return Events(lambda: Parts(self._streams.open(call, Deadline.of(timeout))))

    def statistics(self, model: str) -> ModelStatistics:
        """Return how much a model has stored; see Model.statistics."""
        request = query_service_pb2.GetModelStatisticsRequest(project=self._calls.project, model=model)
        return ModelStatistics.from_proto(self._call(lambda stub: stub.GetModelStatistics, request))

    def _call(
        self, method: Callable[[Stub], grpc.UnaryUnaryMultiCallable[Request, Response]], request: Request
    ) -> Response:
        return self._calls.call(Stub, method, request)


def _set_times(
    request: query_service_pb2.GetEventsRequest | query_service_pb2.QueryEventsRequest, **times: TimeLike | None
) -> None:
    for name, time in times.items():
        if time is not None:
            try:
                getattr(request, name).FromDatetime(as_datetime(time))
            except (TypeError, ValueError, OverflowError) as error:
                raise InvalidArgumentError(f"{name}={time!r}: {error}") from error


def _events(response: query_service_pb2.GetEventsResponse) -> Iterator[Event]:
    """Yield the events of an answer, each with its late rows: those of its id and time."""
    labels = {column.name for column in response.columns if column.kind == model_pb2.COLUMN_KIND_LABEL}
    late: dict[tuple[object, object], dict[str, list[Row]]] = {}
    for group in response.late:
        if group.kind in _FIELDS and not group.waiting:
            for row in Part(group.columns, group.rows).rows():
                key = (row["event_id"], row.get("event_time"))
                late.setdefault(key, {}).setdefault(_FIELDS[group.kind], []).append(row)
    for row in Part(response.columns, response.events).rows():
        event_id, event_time = row.pop("event_id"), row.pop("event_time")
        known = {name: value for name, value in row.items() if value is not None and name not in _OF_LABELS}
        yield Event(
            event_id,
            event_time,
            values={name: value for name, value in known.items() if name not in labels},
            labels={name: value for name, value in known.items() if name in labels},
            **late.get((event_id, event_time), {}),
            **late.get((event_id, None), {}),  # metrics have no event_time
        )
