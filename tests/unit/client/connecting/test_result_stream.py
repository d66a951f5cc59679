"""Streams of results: retried until the first message, never waited for without end, ended from any side."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import grpc
import pytest

import headrace
from headrace import PublishResult, Settings
from headrace.encoding.read_back import values_of
from headrace.testing.behaviour import Status, abort
from headrace.v1 import batch_pb2, query_service_pb2, query_service_pb2_grpc


class Service(query_service_pb2_grpc.QueryServiceServicer):
    """Answers QueryEvents with the events "0", "1", …, one a message."""

    address = ""

    def __init__(self) -> None:
        self.refusals: list[Status] = []
        self.messages = 3
        self.go_on = threading.Event()
        self.go_on.set()

    def QueryEvents(
        self, request: query_service_pb2.QueryEventsRequest, context: grpc.ServicerContext
    ) -> Iterator[query_service_pb2.QueryEventsResponse]:
        if self.refusals:
            abort(context, self.refusals.pop(0))
        for number in range(self.messages):
            column = batch_pb2.Column(name="event_id", strings={"lengths": [1], "data": str(number).encode()})
            told = [query_service_pb2.ResultColumn(name="event_id")] if number == 0 else []
            batch = batch_pb2.ColumnBatch(row_count=1, columns=[column])
            yield query_service_pb2.QueryEventsResponse(columns=told, rows=batch)
            self.go_on.wait(20)


@pytest.fixture
def service() -> Iterator[Service]:
    served = Service()
    server = grpc.server(ThreadPoolExecutor(4))
    query_service_pb2_grpc.add_QueryServiceServicer_to_server(served, server)
    served.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield served
    served.go_on.set()
    server.stop(None).wait(5)


@pytest.fixture
def client(service: Service) -> Iterator[headrace.Client]:
    settings = Settings(backoff_initial_s=0.01, backoff_max_s=0.05, call_timeout_s=1.0)
    with headrace.connect(service.address, settings=settings) as client:
        yield client


def test_a_service_that_is_busy_is_asked_again(service: Service, client: headrace.Client) -> None:
    busy = Status(grpc.StatusCode.RESOURCE_EXHAUSTED, "READERS_BUSY", 0.01)
    service.refusals += [busy, busy, Status(grpc.StatusCode.UNAVAILABLE)]
    assert [row["event_id"] for row in client.model("m").events()] == ["0", "1", "2"]


def test_a_refusal_is_told_at_once(service: Service, client: headrace.Client) -> None:
    service.refusals.append(Status(grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND"))
    with pytest.raises(headrace.ModelNotFoundError):
        client.model("m").events().to_list()


def test_a_message_that_does_not_come_ends_the_wait(service: Service, client: headrace.Client) -> None:
    service.go_on.clear()
    rows = iter(client.model("m").events())
    assert next(rows)["event_id"] == "0"
    with pytest.raises(headrace.ServiceError, match="nothing came") as caught:
        next(rows)
    assert caught.value.retryable


def test_a_read_may_be_given_a_deadline(service: Service, client: headrace.Client) -> None:
    service.go_on.clear()
    deadline = headrace.Deadline(30)
    rows = iter(client.model("m").events(timeout=deadline))
    next(rows)
    deadline.expire()
    with pytest.raises(headrace.ServiceError, match="nothing came"):
        next(rows)


def test_a_client_that_closes_ends_its_reads(service: Service, client: headrace.Client) -> None:
    service.go_on.clear()
    rows = iter(client.model("m").events())
    next(rows)
    closing = threading.Timer(0.1, client.close)
    closing.start()
    with pytest.raises(headrace.ClosedError):
        next(rows)
    closing.join()


def test_times_that_are_none_are_refused_before_any_call(client: headrace.Client) -> None:
    with pytest.raises(headrace.InvalidArgumentError, match="start_time"):
        client.model("m").events("yesterday")


def test_a_result_without_all_its_acks_is_not_queryable_yet(client: headrace.Client) -> None:
    whole = PublishResult(rows=3, stored=1, duplicate=1, rejected=1)
    client.wait_until_queryable(whole)
    with pytest.raises(headrace.UnackedError) as caught:
        client.wait_until_queryable(PublishResult(rows=3, stored=1, labels=PublishResult(rows=1)))
    assert caught.value.rows == 3


def test_cells_without_a_value_are_none() -> None:
    column = batch_pb2.Column(name="x", validity=b"\x05", float64s={"values": [1.0, 0.0, 3.0]})
    assert values_of(column, 3) == [1.0, None, 3.0]
    assert values_of(None, 2) == [None, None]
    assert values_of(batch_pb2.Column(name="x"), 1) == [None]


def test_times_beyond_the_calendar_come_as_microseconds() -> None:
    column = batch_pb2.Column(name="t", timestamps={"unix_micros": [0, 2**62]})
    assert values_of(column, 2) == [datetime(1970, 1, 1, tzinfo=UTC), 2**62]
