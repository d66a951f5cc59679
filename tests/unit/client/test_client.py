"""The client as a model server uses it: log, flush, close, and a count for every row."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

import headrace
from headrace import Overflow
from headrace.testing import FakeService, Rejection
from headrace.v1 import error_reason_pb2, model_pb2
from support.eventually import eventually

Connect = Callable[..., headrace.Client]


def test_an_event_arrives_with_all_it_was_logged_with(service: FakeService, client: headrace.Client) -> None:
    model = client.model("flight_delay", version="v1")
    at = datetime(2013, 1, 1, 5, 15, tzinfo=UTC)
    model.log(
        features={"distance": 1400, "carrier": "AA", "source": "radar", "embedding": [0.5, 1.5]},
        prediction=0.83,
        predictions={"reason": "weather"},
        event_id="AA1",
        event_time=at,
        latency_s=0.004,
        variant="canary",
        source="gate",
        tags=["new"],
        metadata={"build": 7},
        trace_id="t" * 32,
        span_id="s" * 16,
        inclusion_probability=0.5,
    )
    client.flush(10)
    assert service.ledger.events("flight_delay") == [
        {
            "event_id": "AA1",
            "event_time": at,
            "distance": 1400,
            "carrier": "AA",
            "f_source": "radar",
            "embedding": [0.5, 1.5],
            "prediction": 0.83,
            "reason": "weather",
            "latency_ms": 4.0,
            "variant": "canary",
            "source": "gate",
            "tags": ["new"],
            "metadata": {"build": 7},
            "trace_id": "t" * 32,
            "span_id": "s" * 16,
            "inclusion_probability": 0.5,
        }
    ]
    assert service.ledger.rows[0].version == "v1"


def test_an_id_made_by_log_carries_the_millisecond_of_the_stored_time(
    service: FakeService, client: headrace.Client
) -> None:
    before = datetime.now(UTC)
    made = [client.model("m").log({"x": 1.0}), client.model("m").log({"x": 1.0}, event_time=1_357_017_300.123456)]
    client.flush(10)
    for event_id, event in zip(made, service.ledger.events("m"), strict=True):
        stored = event["event_time"]
        assert isinstance(stored, datetime)
        assert uuid.UUID(event_id).int >> 80 == int(stored.timestamp() * 1e6) // 1000
    assert abs((datetime.now(UTC) - before).total_seconds()) < 60


def test_features_may_be_changed_after_log(service: FakeService, client: headrace.Client) -> None:
    features = {"x": 1.0}
    client.model("m").log(features)
    features["x"] = 2.0
    client.flush(10)
    assert service.ledger.events("m")[0]["x"] == 1.0


def test_labels_leave_their_time_to_the_service_unless_it_is_given(
    service: FakeService, client: headrace.Client
) -> None:
    model = client.model("m")
    model.log_label("a", late=True)
    model.log_label("a", late=False, label_time=0, event_time="2013-01-01T00:00:00Z", source="desk")
    client.flush(10)
    assert service.ledger.labels("m") == [
        {"event_id": "a", "late": True},
        {
            "event_id": "a",
            "late": False,
            "label_time": datetime(1970, 1, 1, tzinfo=UTC),
            "event_time": datetime(2013, 1, 1, tzinfo=UTC),
            "source": "desk",
        },
    ]


def test_a_label_repeated_by_a_script_is_a_duplicate(client: headrace.Client) -> None:
    for _ in range(2):
        client.model("m").log_label("a", late=True)
        client.flush(10)
    assert (client.stats().stored, client.stats().duplicate, client.stats().parked) == (1, 1, 1)


def test_rows_of_several_handles_arrive_under_their_model_and_version(
    service: FakeService, client: headrace.Client
) -> None:
    handles = [client.model("a", "v1"), client.model("a", "v2"), client.model("b")]
    for n in range(30):
        handles[n % 3].log({"x": float(n)})
    client.flush(10)
    assert [len(service.ledger.events(name)) for name in ("a", "b")] == [20, 10]
    assert {row.version for row in service.ledger.rows if row.model == "a"} == {"v1", "v2"}


def test_one_handle_is_made_for_each_model_and_version(client: headrace.Client) -> None:
    assert client.model("a", "v1") is client.model("a", "v1")
    assert client.model("a", "v1") is not client.model("a", "v2")


def test_on_result_gets_every_verdict_with_the_ids_of_its_rows(service: FakeService, connect: Connect) -> None:
    outcomes: list[headrace.BatchOutcome] = []
    bad = Rejection(error_reason_pb2.ERROR_REASON_WRONG_TYPE, "x", "no number")
    service.ledger.rules.append(lambda cells: bad if cells.get("x") == "one" else None)
    client = connect(on_result=outcomes.append)
    for x in (1.0, 2.0, "one"):
        client.model("m").log({"x": x}, event_id=f"e{x}")
    client.flush(10)
    stored, rejected = sorted(outcomes, key=lambda outcome: outcome.rejected)
    assert (stored.model, stored.kind, stored.stored, list(stored.event_ids)) == ("m", "EVENTS", 2, ["e1.0", "e2.0"])
    (error,) = rejected.errors
    assert (error.reason, error.column, error.rows) == ("WRONG_TYPE", "x", [0])
    assert rejected.event_ids[error.rows[0]] == "eone"


def test_rejected_rows_are_warned_of_when_nobody_listens(
    service: FakeService, client: headrace.Client, caplog: pytest.LogCaptureFixture
) -> None:
    bad = Rejection(error_reason_pb2.ERROR_REASON_UNKNOWN_COLUMN, "x", "no such column")
    service.ledger.rules.append(lambda _: bad)
    client.model("m").log({"x": 1.0})
    client.flush(10)
    assert "1 of 1 rows rejected, UNKNOWN_COLUMN x: no such column" in caplog.text


def test_a_callback_that_raises_does_no_harm(client: headrace.Client, connect: Connect) -> None:
    def fail(_: headrace.BatchOutcome) -> None:
        raise RuntimeError("a user's bug")

    other = connect(on_result=fail)
    other.model("m").log({"x": 1.0})
    other.flush(10)
    assert other.stats().stored == 1


def test_a_row_that_cannot_be_sent_is_counted_told_and_takes_no_other_with_it(
    service: FakeService, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    drops: list[tuple[str, int]] = []
    client = connect(on_drop=lambda reason, rows: drops.append((reason, rows)))
    for x in (1.0, object(), 2.0):
        client.model("m").log({"x": x})
    client.flush(10)
    assert [event["x"] for event in service.ledger.events("m")] == [1.0, 2.0]
    assert client.stats().dropped == {"UNENCODABLE": 1}
    assert drops == [("UNENCODABLE", 1)]
    assert "object" in caplog.text


def test_a_row_larger_than_a_batch_is_dropped_by_name(service: FakeService, connect: Connect) -> None:
    service.behaviour.max_batch_bytes = 1_000
    client = connect()
    for size in (10, 2_000, 20):
        client.model("m").log({"x": "y" * size})
    client.flush(10)
    assert len(service.ledger.events("m")) == 2
    assert client.stats().dropped == {"ROW_TOO_LARGE": 1}


def test_an_argument_that_cannot_be_used_is_counted_and_an_id_comes_back_all_the_same(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect()
    assert client.model("m").log({"x": 1.0}, event_time="yesterday")
    assert client.model("m").log(7, event_id="mine") == "mine"  # type: ignore[arg-type]
    client.model("m").log_label("a", event_time="tomorrow", late=True)
    assert client.stats().dropped == {"INVALID_ARGUMENT": 3}
    assert client.stats().logged == 3
    assert "yesterday" in caplog.text


def test_a_drop_is_told_though_no_row_was_ever_taken(connect: Connect) -> None:
    drops: list[tuple[str, int]] = []
    client = connect(on_drop=lambda *drop: drops.append(drop))
    client.model("m").log({"x": 1.0}, event_time="soon")
    eventually(lambda: drops == [("INVALID_ARGUMENT", 1)])


def test_a_strict_client_raises_on_such_arguments(connect: Connect) -> None:
    client = connect(strict=True)
    with pytest.raises(headrace.InvalidArgumentError, match="yesterday"):
        client.model("m").log({"x": 1.0}, event_time="yesterday")
    with pytest.raises(headrace.InvalidArgumentError):
        client.model("m").log_label("a", event_time="yesterday", late=True)


def test_a_full_buffer_drops_by_policy_counts_and_warns_once(
    service: FakeService, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    service.stop()
    drops: list[tuple[str, int]] = []
    client = connect(buffer_rows=10, overflow=Overflow.DROP_OLDEST, on_drop=lambda *drop: drops.append(drop))
    for n in range(25):
        client.model("m").log({"x": n}, event_id=f"e{n}")
    assert client.stats().dropped == {"DROP_OLDEST": 15}
    eventually(lambda: sum(rows for _, rows in drops) == 15)
    service.start()
    client.flush(10)
    assert [event["event_id"] for event in service.ledger.events("m")] == [f"e{n}" for n in range(15, 25)]
    assert sum("DROP_OLDEST" in record.message for record in caplog.records) == 1
    assert client.stats().logged == 25 == client.stats().stored + 15


def test_the_raise_policy_raises_from_log_itself(service: FakeService, connect: Connect) -> None:
    service.stop()
    client = connect(buffer_rows=1, overflow=Overflow.RAISE)
    client.model("m").log({"x": 1.0})
    with pytest.raises(headrace.BufferFullError):
        client.model("m").log({"x": 2.0})
    service.start()
    client.flush(10)
    assert client.stats().logged == client.stats().stored == 1


def test_a_stalled_service_fills_window_and_buffer_and_nothing_more(service: FakeService, connect: Connect) -> None:
    service.hold_acks()
    service.behaviour.suggested_batch_rows = 10
    client = connect(window_bytes=3_000, buffer_rows=50)
    model = client.model("m")
    for n in range(5_000):
        model.log({"x": n})
        if n % 50 == 0:  # let the sealer move on
            eventually(lambda: client.stats().buffered < 50 or client._events.session.window.bytes > 2_000)
    assert client._events.session.window.bytes <= 3_000
    assert client.stats().buffered <= 50
    service.release_acks()
    client.flush(20)
    stats = client.stats()
    assert stats.stored + stats.dropped["DROP_NEWEST"] == stats.logged == 5_000
    assert stats.stored == len(service.ledger.events("m"))


def test_flush_of_an_idle_client_returns_at_once_and_starts_nothing(
    service: FakeService, client: headrace.Client
) -> None:
    client.flush(0)
    assert not service.opens


def test_flush_tells_what_is_unacked_and_delivery_goes_on(service: FakeService, client: headrace.Client) -> None:
    service.hold_acks()
    for _ in range(3):
        client.model("m").log({"x": 1.0})
    eventually(lambda: len(service.ledger.events("m")) == 3)
    with pytest.raises(headrace.FlushTimeout) as caught:
        client.flush(0.05)
    assert caught.value.rows == 3
    assert caught.value.batches >= 1
    service.release_acks()
    client.flush(10)
    assert client.stats().unacked == 0


def test_close_drains_and_releases(service: FakeService, client: headrace.Client) -> None:
    client.model("m").log({"x": 1.0})
    client.model("m").log_label("a", late=True)
    client.close(10)
    assert len(service.ledger.rows) == 2
    eventually(lambda: service.live_streams == 0)
    assert not client._events.session._thread.is_alive()  # type: ignore[union-attr]
    assert not client._events.sealer._thread.is_alive()  # type: ignore[union-attr]
    client.close(0)


def test_close_raises_with_what_is_unacked_and_keeps_it_counted(service: FakeService, connect: Connect) -> None:
    service.hold_acks()
    client = connect()
    for _ in range(3):
        client.model("m").log({"x": 1.0})
    with pytest.raises(headrace.UnackedError) as caught:
        client.close(0.2)
    assert (caught.value.rows, caught.value.batches >= 1) == (3, True)
    assert client.stats().unacked == 3


def test_close_while_the_service_was_never_there_names_every_row(connect: Connect) -> None:
    client = connect(address="localhost:1")
    for _ in range(3):
        client.model("m").log({"x": 1.0})
    client.model("m").log_label("a", late=True)
    with pytest.raises(headrace.UnackedError) as caught:
        client.close(0.1)
    assert caught.value.rows == 4
    assert client.stats().unacked == 4


def test_a_closed_client_raises_on_use_but_never_into_inference(client: headrace.Client) -> None:
    model = client.model("m")
    client.close()
    for use in (client.flush, client.list_models, lambda: client.model("m"), lambda: model.publish([])):
        with pytest.raises(headrace.ClosedError):
            use()
    assert model.log({"x": 1.0})
    model.log_label("a", late=True)
    assert client.stats().dropped == {"CLOSED": 2}


def test_a_closed_strict_client_raises_from_log_too(connect: Connect) -> None:
    client = connect(strict=True)
    model = client.model("m")
    client.close()
    with pytest.raises(headrace.ClosedError):
        model.log({"x": 1.0})


def test_a_context_manager_closes_and_lets_the_bodys_error_through(service: FakeService, connect: Connect) -> None:
    with connect() as client:
        client.model("m").log({"x": 1.0})
    assert len(service.ledger.events("m")) == 1
    with pytest.raises(KeyError), connect(address="localhost:1") as client:
        raise KeyError("the body's")


def test_warnings_of_one_kind_are_given_once_in_the_interval(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    client = connect()
    for _ in range(100):
        client.model("m").log({"x": 1.0}, event_time="yesterday")
    assert len(caplog.records) == 1


def test_a_changed_model_is_taken_note_of(service: FakeService, client: headrace.Client) -> None:
    client.model("m").log({"x": 1.0})
    client.flush(10)
    service.send_model_updated(model_pb2.Model(name="m", revision=2))
    service.send_model_updated(model_pb2.Model(name="m", revision=1))
    client.model("m").log({"x": 1.0})
    client.flush(10)
    assert client._notices.models["m"].revision == 2


def test_the_key_and_the_project_go_with_every_call(service: FakeService, connect: Connect) -> None:
    client = connect(api_key="secret", project="shop")
    client.model("m").log({"x": 1.0})
    client.flush(10)
    assert service.metadata[0]["authorization"] == "Bearer secret"
    assert service.opens[0].project == "shop"
    assert "secret" not in repr(client)
