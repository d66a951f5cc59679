"""What users of headrace.testing ask of the fake service, seen through the SDK."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

import headrace
from headrace import ColumnKind, Schema
from headrace.testing import FakeService
from support.eventually import eventually

Connect = Callable[..., headrace.Client]
pytest_plugins = ["headrace.testing.pytest_plugin"]


@pytest.fixture
def service(headrace_service: FakeService) -> FakeService:
    return headrace_service


@pytest.fixture
def registered(client: headrace.Client) -> headrace.Model:
    schema = Schema(
        features={"distance": "float64", "carrier": "category", "stops": "int64", "seen": "timestamp"},
        predictions={"score": "float64"},
        labels={"late": "bool"},
    )
    return client.register(schema, name="flights", version="v1")


def reasons(result: headrace.PublishResult) -> dict[str, str]:
    return {error.reason: error.column for error in result.errors}


def test_a_batch_that_is_delivered_again_is_stored_once(service: FakeService, client: headrace.Client) -> None:
    service.behaviour.redeliver = 1
    result = client.model("m").publish([{"event_id": "a", "x": 1.0}])
    assert result.stored == 1
    assert [seq for _, seq in service.received] == [1, 1]
    assert len(service.events("m")) == 1


def test_rows_wait_while_the_service_is_unavailable(service: FakeService, connect: Connect) -> None:
    client = connect(call_timeout_s=0.2)
    with service.unavailable():
        client.model("m").log({"x": 1.0})
        with pytest.raises(headrace.FlushTimeout):
            client.flush(0.1)
        with pytest.raises(headrace.ServiceError, match="DATABASE_UNAVAILABLE"):
            client.get_model("m")
    client.flush(10)
    assert len(service.events("m")) == 1


def test_acks_can_be_late(service: FakeService, connect: Connect) -> None:
    service.behaviour.ack_delay_s = 0.3
    client = connect()
    client.model("m").log({"x": 1.0})
    eventually(lambda: bool(service.events("m")))
    assert client.stats().unacked == 1
    client.flush(10)
    assert client.stats().stored == 1


def test_rows_are_rejected_by_rule(service: FakeService, client: headrace.Client) -> None:
    service.reject("WRONG_TYPE", lambda row: row["x"] == 2.0, column="x")
    result = client.model("m").publish([{"x": 1.0}, {"x": 2.0}])
    assert (result.stored, result.rejected) == (1, 1)
    assert reasons(result) == {"WRONG_TYPE": "x"}


def test_a_reason_that_does_not_exist_is_refused(service: FakeService) -> None:
    with pytest.raises(ValueError, match="ERROR_REASON_NONSENSE"):
        service.reject("NONSENSE", lambda _: True)


def test_a_drain_moves_the_client_to_a_new_stream(service: FakeService, client: headrace.Client) -> None:
    model = client.model("m")
    model.publish([{"x": 1.0}])
    service.drain(deadline_ms=200)
    eventually(lambda: len(service.opens) == 2 or not service.live_streams)
    assert model.publish([{"x": 2.0}]).stored == 1


@pytest.mark.parametrize(
    ("row", "reason", "column"),
    [
        ({"distance": "far"}, "WRONG_TYPE", "distance"),
        ({"stops": 1.5}, "WRONG_TYPE", "stops"),
        ({"carrier": 7}, "WRONG_TYPE", "carrier"),
        ({"seen": "yesterday"}, "WRONG_TYPE", "seen"),
        ({"observed_time": "2026-01-01T00:00:00Z"}, "IMMUTABLE_COLUMN", "observed_time"),
        ({"speed": 1.0}, "UNKNOWN_COLUMN", "speed"),
        ({"event_id": "x" * 129}, "EVENT_ID_TOO_LONG", "event_id"),
    ],
)
def test_a_registered_model_checks_its_events(
    registered: headrace.Model, row: dict[str, object], reason: str, column: str
) -> None:
    result = registered.publish([{"event_id": "good", "distance": 1.0}, {"event_id": "bad", **row}], labels=[])
    assert (result.stored, result.rejected) == (1, 1)
    assert reasons(result) == {reason: column}


@pytest.mark.parametrize(
    ("row", "reason", "column"),
    [
        ({"late": "yes"}, "WRONG_TYPE", "late"),
        ({"score": 0.5}, "IMMUTABLE_COLUMN", "score"),
        ({"later": True}, "UNKNOWN_COLUMN", "later"),
        ({"late": None, "source": "desk"}, "LABEL_REQUIRED", ""),
    ],
)
def test_a_registered_model_checks_its_labels(
    registered: headrace.Model, row: dict[str, object], reason: str, column: str
) -> None:
    result = registered.publish([{"event_id": "a", **row}], update=True)
    assert result.rejected == 1
    assert reasons(result) == {reason: column}


def test_a_column_that_is_added_is_known_at_once(registered: headrace.Model, client: headrace.Client) -> None:
    assert registered.publish([{"speed": 1.0}]).rejected == 1
    client.update_model("flights", add=[headrace.Column("speed", ColumnKind.FEATURE, headrace.ValueType.FLOAT64)])
    assert registered.publish([{"speed": 1.0}]).stored == 1


def test_nobody_else_gets_its_port_while_it_is_stopped(service: FakeService) -> None:
    service.stop()
    host, _, port = service.address.rpartition(":")
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((host, int(port)))
    service.start()
    with headrace.connect(service.address) as client:
        client.model("m").log({"x": 1.0}, event_id="a")
    assert [event["event_id"] for event in service.events("m")] == ["a"]
