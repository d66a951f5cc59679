"""The sealer between buffer and session: nothing is taken in too early, and no row waits longer than it must."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

import headrace
from headrace.sending import sealer as sealer_module
from headrace.sending.advice import Advice
from headrace.sending.sealer import Sealer
from headrace.testing import FakeService
from support.eventually import eventually

Connect = Callable[..., headrace.Client]


@pytest.fixture(autouse=True)
def _quick_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealer_module, "_TICK_S", 0.01)


def sealer_of(client: headrace.Client) -> Sealer:
    return client._events.sealer


def ids(service: FakeService) -> list[object]:
    return [event["event_id"] for event in service.events("m")]


def test_while_no_service_has_spoken_rows_stay_where_a_policy_can_drop_them(
    service: FakeService, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.stop()
    client = connect(buffer_rows=2, overflow=headrace.Overflow.DROP_OLDEST)
    session, asked = client._events.session, list[Advice | None]()
    wait = session.wait_advice

    def counted(deadline: headrace.Deadline) -> Advice | None:
        asked.append(wait(deadline))
        return asked[-1]

    monkeypatch.setattr(session, "wait_advice", counted)
    for event_id in "abc":
        client.model("m").log({"x": 1.0}, event_id=event_id)
    eventually(lambda: len(asked) >= 3)
    assert set(asked) == {None}
    assert (client.stats().buffered, client.stats().unacked) == (2, 2)
    service.start()
    client.flush(10)
    assert ids(service) == ["b", "c"]


def test_while_the_window_is_full_drops_are_told_all_the_same(service: FakeService, connect: Connect) -> None:
    drops: list[tuple[str, int]] = []
    service.hold_acks()
    client = connect(window_bytes=1, batch_rows=1, buffer_rows=2, on_drop=lambda *drop: drops.append(drop))
    model, sealer = client.model("m"), sealer_of(client)
    for _ in range(2):  # one in the window, one in the sealer's hand
        model.log({"x": 1.0})
        eventually(lambda: not client._events.buffer.rows)
    assert (sealer.in_hand, drops) == (1, [])
    for _ in range(5):
        model.log({"x": 1.0})
    eventually(lambda: sum(rows for _, rows in drops) == 3)
    assert {reason for reason, _ in drops} == {"DROP_NEWEST"}
    service.release_acks()
    client.flush(10)
    assert (client.stats().stored, client.stats().dropped) == (4, {"DROP_NEWEST": 3})


def test_a_row_that_says_one_thing_twice_is_dropped_alone_and_told(service: FakeService, connect: Connect) -> None:
    drops: list[tuple[str, int]] = []
    client = connect(on_drop=lambda *drop: drops.append(drop))
    model = client.model("m")
    model.log({"x": 1.0, "y": 1.0}, event_id="a")
    model.log({"x": 1.0}, predictions={"x": 2.0}, event_id="clash")
    model.log({"x": 1.0}, event_id="b")
    client.flush(10)
    assert ids(service) == ["a", "b"]
    assert drops == [("COLUMN_REPEATED", 1)]
    assert client.stats().dropped == {"COLUMN_REPEATED": 1}


class OverheardWake(threading.Event):
    """A flush asks between the sealer's last look and its lying down: the wake it sets is cleared at once."""

    def __init__(self, sealer: Sealer) -> None:
        super().__init__()
        self._sealer = sealer

    def clear(self) -> None:
        self._sealer._flush_through = self._sealer._buffer.passed + len(self._sealer._buffer.rows)
        super().clear()


def test_a_flush_that_asks_just_as_the_sealer_lies_down_is_heard(service: FakeService, connect: Connect) -> None:
    client = connect(linger_ms=3_600_000)
    client._events.buffer.wake = OverheardWake(sealer_of(client))
    client.model("m").log({"x": 1.0}, event_id="a")
    eventually(lambda: ids(service) == ["a"])


def test_two_threads_that_start_it_at_once_start_one_thread(connect: Connect) -> None:
    sealer = sealer_of(connect())
    lock = sealer._progress

    class Overtaken:
        """The lock, to which another thread comes first."""

        def __enter__(self) -> None:
            sealer._progress = lock
            sealer.start()
            self.started = sealer._thread

        def __exit__(self, *_: object) -> None: ...

    overtaken = Overtaken()
    sealer._progress = overtaken  # type: ignore[assignment]
    sealer.start()
    assert sealer._thread is overtaken.started is not None
    assert [thread.name for thread in threading.enumerate()].count(sealer._thread.name) == 1
