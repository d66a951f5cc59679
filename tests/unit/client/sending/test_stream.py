"""When a stream is given up: by a clock that the test moves, without a service and without waiting."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from headrace.sending import stream as stream_module
from headrace.sending.stream import Stream
from headrace.sending.window import Window

HEARTBEAT_S = 4.0
A_LOOK_S = 0.5


class Clock:
    """A clock that stands still but for sleeps, which take as long as the test says."""

    def __init__(self, sleeps: Iterable[float]) -> None:
        self.now = 1_000.0
        self._sleeps = list(sleeps)

    def monotonic(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        """Sleep; True when the test has no more sleeps: the stream is over."""
        if not self._sleeps:
            return True
        self.now += self._sleeps.pop(0)
        return False


def watched(monkeypatch: pytest.MonkeyPatch, sleeps: Iterable[float], *, opened: bool = True) -> str:
    """What a stream on which nothing comes is given up for, after these sleeps of its watching thread."""
    clock = Clock(sleeps)
    monkeypatch.setattr(stream_module, "time", clock)
    stream = Stream(
        Window(1024),
        b"open",
        open_timeout_s=15.0,
        ack_timeout_s=120.0,
        due_report=lambda _: (None, 60.0),
        resending=lambda _: None,
    )
    monkeypatch.setattr(stream, "_over", clock)
    if opened:
        stream.opened(1_000, HEARTBEAT_S)
    stream._watch()
    return "" if stream.gave_up is None else str(stream.gave_up)


def test_silence_is_borne_for_two_and_a_half_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    assert watched(monkeypatch, [A_LOOK_S] * 19) == ""
    assert "the service says nothing" in watched(monkeypatch, [A_LOOK_S] * 20)


def test_a_process_that_stood_still_itself_gives_the_service_its_time_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert watched(monkeypatch, [A_LOOK_S, 3_600.0, *[A_LOOK_S] * 19]) == ""
    assert "the service says nothing" in watched(monkeypatch, [A_LOOK_S, 3_600.0, *[A_LOOK_S] * 20])


def test_an_answer_to_open_is_waited_for_as_long_as_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    assert watched(monkeypatch, [A_LOOK_S] * 29, opened=False) == ""
    assert "no answer to Open" in watched(monkeypatch, [A_LOOK_S] * 30, opened=False)
