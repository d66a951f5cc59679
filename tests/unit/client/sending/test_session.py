"""A session keeps its promises over any number of streams: against the fake service, seen from the client."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import grpc
import pytest

import headrace
from headrace import deadline
from headrace.sending.stream import Stream
from headrace.testing import FakeService, Status
from headrace.v1 import batch_pb2, ingest_service_pb2
from support.eventually import eventually

Connect = Callable[..., headrace.Client]
UNAVAILABLE = Status(grpc.StatusCode.UNAVAILABLE)
REFUSED = Status(grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_UNREADABLE")


def log_and_flush(client: headrace.Client, *event_ids: str) -> None:
    """Log one batch of events and wait for its ack."""
    for event_id in event_ids:
        client.model("m").log({"x": 1.0}, event_id=event_id)
    client.flush(10)


def ids(service: FakeService) -> list[object]:
    return [event["event_id"] for event in service.ledger.events("m")]


def arrived(service: FakeService, event_id: str) -> bool:
    return event_id in ids(service)


def accounted(stats: headrace.Stats) -> int:
    """Sum of the counters of which each row is in exactly one."""
    return (
        stats.stored
        + stats.duplicate
        + stats.conflict
        + stats.rejected
        + stats.uncounted
        + stats.quarantined
        + stats.unacked
        + stats.dropped_rows
    )


def test_rows_logged_while_the_service_is_away_arrive_when_it_comes(service: FakeService, connect: Connect) -> None:
    service.stop()
    client = connect()
    client.model("m").log({"x": 1.0}, event_id="early")
    with pytest.raises(headrace.FlushTimeout) as caught:
        client.flush(0.1)
    assert (caught.value.rows, caught.value.batches) == (1, 0)
    service.start()
    client.flush(10)
    assert ids(service) == ["early"]


def test_unacked_batches_are_sent_again_after_a_reconnect_and_stored_once(
    service: FakeService, connect: Connect
) -> None:
    client = connect()
    service.hold_acks()
    for event_id in ("a", "b", "c"):
        client.model("m").log({"x": 1.0}, event_id=event_id)
        eventually(partial(arrived, service, event_id))
    service.stop()
    service.release_acks()
    service.start()
    client.flush(10)
    assert ids(service) == ["a", "b", "c"]
    assert client.stats().stored == 3
    assert client.stats().retried == 3


def test_a_batch_whose_ack_was_lost_is_answered_with_its_first_result(service: FakeService, connect: Connect) -> None:
    outcomes: list[headrace.BatchOutcome] = []
    client = connect(on_result=outcomes.append)
    log_and_flush(client, "a")
    service.behaviour.drop_acks = 1
    client.model("m").log({"x": 2.0}, event_id="a", event_time=0)
    client.model("m").log({"x": 2.0}, event_id="a", event_time=0)
    eventually(lambda: service.behaviour.drop_acks == 0)
    service.end_streams(UNAVAILABLE)
    client.flush(10)
    assert (outcomes[-1].stored, outcomes[-1].duplicate, outcomes[-1].replayed) == (1, 1, True)
    assert len(ids(service)) == 2


def test_results_that_the_service_no_longer_keeps_are_counted_as_such(service: FakeService, connect: Connect) -> None:
    client = connect()
    log_and_flush(client, "a")
    service.behaviour.drop_acks = 1
    client.model("m").log({"x": 1.0}, event_id="b")
    eventually(lambda: service.behaviour.drop_acks == 0)
    producer = next(iter(service.ledger.producers.values()))
    producer.results.clear()
    service.end_streams(UNAVAILABLE)
    client.flush(10)
    assert (client.stats().stored, client.stats().uncounted) == (1, 1)


def test_open_tells_the_next_seq_and_the_results_that_are_known(service: FakeService, connect: Connect) -> None:
    client = connect(project="shop")
    log_and_flush(client, "a")
    log_and_flush(client, "b")
    service.behaviour.drop_acks = 1
    client.model("m").log({"x": 1.0}, event_id="c")
    eventually(lambda: service.behaviour.drop_acks == 0)
    service.end_streams(UNAVAILABLE)
    client.flush(10)
    first, second = service.opens
    assert (first.next_seq, first.results_through, first.project) == (1, 0, "shop")
    assert (second.next_seq, second.results_through) == (4, 2)
    assert first.producer_id == second.producer_id
    assert first.client.startswith("headrace-python/")


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    ],
)
def test_a_stream_ended_by_the_transport_is_made_anew(
    service: FakeService, connect: Connect, code: grpc.StatusCode
) -> None:
    client = connect()
    endings = [Status(code)]
    service.behaviour.end_on = lambda _: endings.pop() if endings else None
    log_and_flush(client, "a")
    assert ids(service) == ["a"]
    assert client.stats().quarantined == 0


def test_a_status_of_ours_with_retry_info_is_tried_again_after_the_wait_it_asks_for(
    service: FakeService, connect: Connect
) -> None:
    client = connect()
    endings = [Status(grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE", retry_after_s=0.05)]
    service.behaviour.end_on = lambda _: endings.pop() if endings else None
    log_and_flush(client, "a")
    assert ids(service) == ["a"]


def test_a_batch_that_ends_the_stream_for_good_is_set_aside_and_the_next_ones_go_on(
    service: FakeService, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    errors: list[headrace.HeadraceError] = []
    client = connect(on_error=errors.append)
    service.behaviour.end_on = lambda batch: REFUSED if b"poison" in batch.SerializeToString() else None
    log_and_flush(client, "a")
    log_and_flush(client, "poison", "victim")
    log_and_flush(client, "b")
    assert ids(service) == ["a", "b"]
    assert [error.reason for error in errors] == ["MESSAGE_UNREADABLE"]
    assert client.stats().quarantined == 2
    (aside,) = client.quarantined()
    assert (aside.seq, aside.rows) == (2, 2)
    assert b"poison" in aside.request
    assert "rows are kept; next try in" in caplog.text, "the batch was not blamed before its second time"
    assert accounted(client.stats()) == client.stats().logged == 4


def test_the_quarantine_is_bounded_but_stays_counted(service: FakeService, connect: Connect) -> None:
    client = connect(quarantine_bytes=1)
    service.behaviour.end_on = lambda batch: REFUSED if batch.columns.row_count else None
    for event_id in ("a", "b", "c"):
        log_and_flush(client, event_id)
    assert [aside.seq for aside in client.quarantined()] == [3]
    assert client.stats().quarantined == 3


def test_a_service_that_refuses_even_the_empty_stand_in_ends_the_session(
    service: FakeService, connect: Connect
) -> None:
    client = connect()
    service.behaviour.end_on = lambda _: REFUSED
    client.model("m").log({"x": 1.0})
    with pytest.raises(headrace.SessionFailedError, match="MESSAGE_UNREADABLE"):
        client.flush(10)
    assert client.stats().quarantined == 1


def test_a_fenced_session_is_over_and_never_sends_its_rows_again(service: FakeService, connect: Connect) -> None:
    errors: list[headrace.HeadraceError] = []
    client = connect(on_error=errors.append)
    log_and_flush(client, "a")
    (opened,) = service.opens
    service.ledger.open(opened.producer_id, 0)  # another process takes over
    client.model("m").log({"x": 1.0}, event_id="lost")
    with pytest.raises(headrace.SessionFailedError) as caught:
        client.flush(10)
    assert isinstance(caught.value.cause, headrace.FencedError)
    assert (caught.value.reason, caught.value.rows, caught.value.batches) == ("FENCED", 1, 1)
    assert isinstance(errors[0], headrace.FencedError)
    client.model("m").log({"x": 1.0}, event_id="too late")
    eventually(lambda: client.stats().dropped.get("FENCED") == 1)
    with pytest.raises(headrace.SessionFailedError):
        client.close(5)
    assert ids(service) == ["a"]
    assert len(service.opens) == 1
    assert accounted(client.stats()) == client.stats().logged == 3


@pytest.mark.parametrize(
    "refusal",
    [
        Status(grpc.StatusCode.PERMISSION_DENIED, "PROJECT_DENIED"),
        Status(grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID"),
        Status(grpc.StatusCode.UNIMPLEMENTED),
        Status(grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
)
def test_an_open_that_is_refused_for_good_ends_the_session_with_its_reason(
    service: FakeService, connect: Connect, refusal: Status
) -> None:
    service.behaviour.refuse = refusal
    client = connect()
    client.model("m").log({"x": 1.0})
    eventually(lambda: client._events.session.is_over)
    with pytest.raises(headrace.SessionFailedError) as caught:
        client.flush(10)
    assert caught.value.code is refusal.code
    assert caught.value.reason == (refusal.reason or refusal.code.name)
    assert client.stats().quarantined == 0


def test_an_open_that_is_refused_for_now_is_tried_again(service: FakeService, connect: Connect) -> None:
    service.behaviour.refuse = Status(grpc.StatusCode.UNAVAILABLE, "DRAINING", retry_after_s=0.0)
    client = connect()
    client.model("m").log({"x": 1.0}, event_id="a")
    eventually(lambda: len(service.opens) >= 3)
    service.behaviour.refuse = None
    client.flush(10)
    assert ids(service) == ["a"]


class Waits:
    """Remembers when a wait was asked for, and when waits were to be short again; none takes any time."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def next_s(self, _: float | None) -> float:
        self.asked.append("wait")
        return 0.0

    def reset(self) -> None:
        self.asked.append("reset")


def test_waits_grow_from_try_to_try_and_are_short_again_after_an_ack(service: FakeService, connect: Connect) -> None:
    service.behaviour.refuse = UNAVAILABLE
    client, waits = connect(), Waits()
    client._events.session._backoff = waits  # type: ignore[assignment]
    client.model("m").log({"x": 1.0}, event_id="a")
    eventually(lambda: len(waits.asked) >= 3)
    service.behaviour.refuse = None
    client.flush(10)
    assert set(waits.asked) == {"wait"}
    service.end_streams(UNAVAILABLE)
    eventually(lambda: waits.asked[-2:] == ["reset", "wait"])
    assert waits.asked.count("reset") == 1


def test_an_open_without_an_answer_is_given_up_and_tried_again(service: FakeService, connect: Connect) -> None:
    service.behaviour.ignore_open = True
    client = connect(open_timeout_s=0.1)
    client.model("m").log({"x": 1.0}, event_id="a")
    eventually(lambda: len(service.opens) >= 2)
    service.behaviour.ignore_open = False
    client.flush(10)
    assert ids(service) == ["a"]


def test_a_stream_whose_acks_stay_away_is_made_anew(service: FakeService, connect: Connect) -> None:
    client = connect(ack_timeout_s=0.2)
    service.behaviour.drop_acks = 1
    log_and_flush(client, "a")
    assert ids(service) == ["a"]
    assert len(service.opens) == 2


def test_a_stream_on_which_the_service_falls_silent_is_made_anew(service: FakeService, connect: Connect) -> None:
    service.behaviour.heartbeat_ms = 100
    client = connect(open_timeout_s=0.2)
    log_and_flush(client, "a")
    service.behaviour.is_silent = True
    client.model("m").log({"x": 1.0}, event_id="b")
    eventually(lambda: arrived(service, "b"))
    eventually(lambda: len(service.opens) >= 2)
    service.behaviour.is_silent = False
    client.flush(10)
    assert ids(service) == ["a", "b"]
    assert client.stats().unacked == 0


def test_heartbeats_keep_a_stream_on_which_a_commit_takes_long(
    service: FakeService, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    granted, heartbeats = Stream.granted, []

    def counted(stream: Stream, credit_bytes: int) -> None:
        heartbeats.append(credit_bytes)
        granted(stream, credit_bytes)

    monkeypatch.setattr(Stream, "granted", counted)
    service.behaviour.heartbeat_ms = 200
    service.behaviour.drop_acks = 1
    client = connect()
    client.model("m").log({"x": 1.0}, event_id="a")
    eventually(lambda: len(heartbeats) == 6)  # in twice the time for which silence would have been borne
    assert len(service.opens) == 1
    service.end_streams(UNAVAILABLE)
    client.flush(10)
    assert ids(service) == ["a"]


def test_an_idle_stream_that_the_service_ends_is_not_made_anew_before_there_is_work(
    service: FakeService, connect: Connect
) -> None:
    client = connect()
    log_and_flush(client, "a")
    service.end_streams(Status(grpc.StatusCode.UNAVAILABLE, "STREAM_IDLE", retry_after_s=0.0))
    eventually(lambda: service.live_streams == 0)
    log_and_flush(client, "b")
    assert len(service.opens) == 2
    assert ids(service) == ["a", "b"]


def test_an_idle_stream_that_ends_for_good_takes_no_batch_with_it(service: FakeService, connect: Connect) -> None:
    client = connect()
    log_and_flush(client, "a")
    service.end_streams(REFUSED)
    log_and_flush(client, "b")  # may be sent just as the stream ends
    assert ids(service) == ["a", "b"]
    assert client.stats().quarantined == 0


def test_a_session_never_sends_beyond_its_credit(service: FakeService, connect: Connect) -> None:
    service.behaviour.credit_bytes = 0  # one batch at a time, when nothing is in flight
    service.hold_acks()
    client = connect()
    client.model("m").log({"x": 1.0}, event_id="a")
    eventually(lambda: len(service.received) == 1)
    client.model("m").log({"x": 1.0}, event_id="b")
    eventually(lambda: len(client._events.session.window) == 2)
    assert len(service.received) == 1
    service.release_acks()
    client.flush(10)
    assert ids(service) == ["a", "b"]


def test_on_drain_nothing_more_is_sent_and_the_rest_goes_elsewhere(service: FakeService, connect: Connect) -> None:
    client = connect()
    service.hold_acks()
    client.model("m").log({"x": 1.0}, event_id="a")
    eventually(lambda: len(service.received) == 1)
    service.drain(deadline_ms=20_000)
    service.release_acks()
    eventually(lambda: client.stats().stored == 1)
    eventually(lambda: service.live_streams == 0)
    log_and_flush(client, "b")
    assert len(service.opens) == 2
    assert service.received == [(service.opens[0].producer_id, 1), (service.opens[0].producer_id, 2)]


def test_a_drain_whose_deadline_passes_is_left_and_what_had_no_ack_is_sent_again(
    service: FakeService, connect: Connect
) -> None:
    client = connect()
    service.behaviour.drop_acks = 1
    client.model("m").log({"x": 1.0}, event_id="a")
    eventually(lambda: len(service.received) == 1)
    service.drain(deadline_ms=50)
    client.flush(10)
    assert ids(service) == ["a"]
    assert [seq for _, seq in service.received] == [1, 1]


def test_acks_that_come_twice_are_counted_once(service: FakeService, connect: Connect) -> None:
    service.behaviour.repeat_acks = True
    client = connect()
    log_and_flush(client, "a")
    log_and_flush(client, "b")
    assert client.stats().stored == 2


def test_a_database_that_went_back_in_time_is_warned_of_and_the_session_goes_on(
    service: FakeService, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect()
    log_and_flush(client, "a")
    log_and_flush(client, "b")
    service.stop()
    service.ledger.producers.clear()
    service.start()
    log_and_flush(client, "c")
    assert "went back in time" in caplog.text
    assert ids(service)[-1] == "c"


def test_of_two_addresses_the_living_one_is_found(service: FakeService, connect: Connect) -> None:
    client = connect(address=f"localhost:1,{service.address}")
    log_and_flush(client, "a")
    assert ids(service) == ["a"]


def test_labels_have_a_session_of_their_own_and_never_hold_up_events(service: FakeService, connect: Connect) -> None:
    client = connect()
    client.model("m").log_label("a", late=True)
    client.model("m").log({"x": 1.0}, event_id="a")
    client.flush(10)
    assert len({opened.producer_id for opened in service.opens}) == 2
    kinds = {row.producer_id: row.kind for row in service.ledger.rows}
    assert sorted(kinds.values()) == [batch_pb2.RECORD_KIND_EVENTS, batch_pb2.RECORD_KIND_LABELS]


def test_the_service_is_told_the_lanes_own_counters_before_the_stream_ends(
    service: FakeService, connect: Connect
) -> None:
    client = connect()
    log_and_flush(client, "a", "b")
    client.model("m").log_label("a", late=True)
    client.close(10)
    assert {report.logged_rows for report in service.reports} == {1, 2}


def test_the_service_is_told_which_results_it_need_not_keep(service: FakeService, connect: Connect) -> None:
    client = connect(report_interval_s=0.001)
    for _ in range(3):
        log_and_flush(client, "a")
    client.close(10)
    through = [report.results_through for report in service.reports]
    assert through == sorted(through)
    assert through[-1] >= 2


def test_rows_of_many_threads_all_arrive_once(service: FakeService, connect: Connect) -> None:
    client = connect()
    model = client.model("m")

    def log_many(thread: int) -> None:
        for n in range(500):
            model.log({"x": float(n)}, event_id=f"{thread}-{n}")

    threads = [threading.Thread(target=log_many, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.flush(20)
    assert sorted(map(str, ids(service))) == sorted(f"{t}-{n}" for t in range(4) for n in range(500))
    assert client.stats().stored == client.stats().logged == 2000


def test_a_session_survives_streams_that_end_again_and_again(service: FakeService, connect: Connect) -> None:
    client = connect()
    turns = iter(range(1000))
    service.behaviour.end_on = lambda _: UNAVAILABLE if next(turns) % 3 == 1 else None
    service.behaviour.end_after = lambda _: UNAVAILABLE if next(turns) % 5 == 2 else None
    expected = [f"e{n}" for n in range(60)]
    for n, event_id in enumerate(expected):
        client.model("m").log({"x": 1.0}, event_id=event_id)
        if n % 6 == 0:
            eventually(partial(arrived, service, event_id))
    client.flush(30)
    assert ids(service) == expected
    assert client.stats().stored + client.stats().uncounted == 60


def test_what_a_newer_service_says_beside_the_known_asks_for_nothing(service: FakeService, connect: Connect) -> None:
    client = connect()
    log_and_flush(client, "a")
    service._tell_all(ingest_service_pb2.IngestResponse())
    log_and_flush(client, "b")
    assert ids(service) == ["a", "b"]
    assert len(service.opens) == 1


@pytest.mark.parametrize("where", ["session", "sealer"])
def test_a_defect_ends_the_session_loudly_and_nobody_waits_for_ever(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    errors: list[Exception] = []
    client = connect(on_error=errors.append)
    if where == "session":
        monkeypatch.setattr(client._events.session, "_converse", fail)
    else:
        monkeypatch.setattr(client._events.sealer, "_header_of", fail)
    client.model("m").log({"x": 1.0})
    eventually(lambda: client._events.session.is_over)
    with pytest.raises(headrace.SessionFailedError, match="defect"):
        client.flush(10)
    assert "ZeroDivisionError" in str(errors[0])
    with pytest.raises(headrace.SessionFailedError):
        client.close(5)
    assert accounted(client.stats()) == client.stats().logged == 1


def test_a_defect_after_the_end_of_a_session_does_not_end_it_again(service: FakeService, connect: Connect) -> None:
    errors: list[headrace.HeadraceError] = []
    client = connect(on_error=errors.append)
    log_and_flush(client, "a")
    session = client._events.session
    session.fail(headrace.HeadraceError("the end"))
    session.fail(headrace.HeadraceError("defect"))
    assert [str(error) for error in errors] == ["the end"]
    with pytest.raises(headrace.SessionFailedError, match="the end"):
        client.flush(10)


def test_a_channel_that_was_closed_just_before_its_call_is_made_anew(service: FakeService, connect: Connect) -> None:
    client = connect()
    session = client._events.session
    session._channel = session._route.connect()
    session._channel.close()
    log_and_flush(client, "a")
    assert ids(service) == ["a"]
    assert client.stats().quarantined == 0


def test_closing_leaves_no_connection_behind(service: FakeService, connect: Connect) -> None:
    client = connect()
    log_and_flush(client, "a")
    channel = client._events.session._channel
    assert channel is not None
    client.close(10)
    with pytest.raises(ValueError, match="closed channel"):
        channel.unary_unary("/headrace.v1.IngestService/Publish")(b"")


def test_whoever_has_hung_up_for_a_fork_has_no_channel_any_more(
    service: FakeService, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect()
    log_and_flush(client, "a")
    session, forked = client._events.session, threading.Event()
    after_stream = session._after_stream

    def held_up(stream: Stream, error: headrace.ServiceError | None) -> None:
        forked.wait()
        after_stream(stream, error)

    monkeypatch.setattr(session, "_after_stream", held_up)
    monkeypatch.setattr(deadline, "_TICK_S", 60.0)  # no look by the way: who waits is woken
    hanging_up = threading.Thread(target=session.hang_up, args=(headrace.Deadline(60),), daemon=True)
    hanging_up.start()
    hanging_up.join(10)
    assert not hanging_up.is_alive()
    assert (session._stream, session._channel) == (None, None)
    forked.set()
    session.resume()
    log_and_flush(client, "b")
    assert ids(service) == ["a", "b"]


def test_a_fork_leaves_a_thread_behind_that_does_not_let_go_in_time(
    service: FakeService, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect()
    session, told = client._events.session, threading.Event()
    converse = session._converse

    def held_up(stream: Stream) -> headrace.ServiceError | None:
        told.wait()
        return converse(stream)

    monkeypatch.setattr(session, "_converse", held_up)
    client.model("m").log({"x": 1.0}, event_id="a")
    eventually(lambda: session._stream is not None)
    session.hang_up(headrace.Deadline(0.01))
    assert session._stream is not None
    told.set()
    session.resume()
    client.flush(10)
    assert ids(service) == ["a"]
