"""The window gives seqs without gaps, is bounded, and settles every waiter."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from headrace import deadline as deadline_module
from headrace.deadline import Deadline
from headrace.errors import HeadraceError
from headrace.sending.window import SealedBatch, Window
from headrace.v1 import ingest_service_pb2, result_pb2
from support.eventually import eventually

SOON = Deadline(0.01)


class Receipt:
    """A receipt that takes no notice."""

    is_awaited = False

    def settled(self, batch: SealedBatch, result: result_pb2.BatchResult | None) -> None: ...

    def failed(self, batch: SealedBatch, error: HeadraceError, *, set_aside: bool) -> None: ...


def seal(window: Window, rows: int = 1, size: int = 100, deadline: Deadline = SOON) -> int | None:
    return window.seal(b"\x1a" + bytes([size - 2]) + b"m" * (size - 2), rows, Receipt(), deadline)


@pytest.fixture(autouse=True)
def _no_looks_by_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits looks again each second: here it has to be woken."""
    monkeypatch.setattr(deadline_module, "_TICK_S", 60.0)


def waits(window: Window, act: Callable[[], object]) -> threading.Thread:
    """A thread that does something and has begun to wait for the window to change."""
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    eventually(lambda: window.changed._waiters)  # type: ignore[attr-defined]
    return thread


def test_seqs_count_from_one_without_gaps() -> None:
    window = Window(10_000)
    assert [seal(window) for _ in range(3)] == [1, 2, 3]
    assert (window.next_seq, window.oldest_seq, window.rows) == (4, 1, 3)


def test_the_frame_of_a_batch_is_a_request_with_its_seq() -> None:
    window = Window(10_000)
    seal(window, size=10)
    batch = window.at(1)
    assert batch is not None
    request = ingest_service_pb2.IngestRequest.FromString(batch.frame)
    assert (request.batch.seq, request.batch.model) == (1, "m" * 8)
    assert batch.size_bytes == request.batch.ByteSize()


def test_a_full_window_makes_the_sealer_wait_and_gives_up_at_the_deadline_without_a_seq() -> None:
    window = Window(250)
    assert [seal(window), seal(window), seal(window)] == [1, 2, None]
    assert window.next_seq == 3


def test_a_batch_larger_than_the_window_is_let_in_alone() -> None:
    window = Window(50)
    assert seal(window) == 1
    assert seal(window) is None


def test_an_ack_makes_space_for_who_waits() -> None:
    window = Window(150)
    seal(window)
    sealed: list[int | None] = []
    waiting = waits(window, lambda: sealed.append(seal(window, deadline=Deadline(60))))
    with window.changed:
        window.settle(1)
    waiting.join(10)
    assert sealed == [2]


def test_a_batch_set_aside_makes_space_for_who_waits_and_one_that_is_sealed_wakes_who_sends() -> None:
    window = Window(150)
    seal(window)
    sealed: list[int | None] = []
    waiting = waits(window, lambda: sealed.append(seal(window, deadline=Deadline(60))))
    window.set_oldest_aside()
    waiting.join(10)
    assert sealed == [2]
    with window.changed:
        window.settle(2)
    sending = waits(window, lambda: look_for(window, 3))
    seal(window)
    sending.join(10)
    assert not sending.is_alive()


def look_for(window: Window, seq: int) -> None:
    """Wait for a batch as the stream's writer does."""
    with window.changed:
        while window.at(seq) is None:
            window.changed.wait(60.0)


def test_settling_is_cumulative_and_wakes_who_waits_for_it() -> None:
    window = Window(10_000)
    for _ in range(3):
        seal(window)
    with window.changed:
        assert [batch.seq for batch in window.through(2)] == [1, 2]
        window.settle(2)
    assert window.wait_settled(2, SOON)
    assert not window.wait_settled(3, Deadline(0.01))
    assert window.unsettled(3) == (1, 1)
    assert window.at(2) is None
    assert window.bytes == getattr(window.at(3), "size_bytes", None)


def test_the_oldest_batch_set_aside_leaves_an_empty_one_under_its_seq() -> None:
    window = Window(10_000)
    seal(window, rows=7)
    seal(window, rows=5)
    aside = window.set_oldest_aside()
    assert aside is not None
    assert (aside.seq, aside.rows, window.rows, window.oldest_seq) == (1, 7, 5, 1)
    stand_in = window.at(1)
    assert stand_in is not None
    request = ingest_service_pb2.IngestRequest.FromString(stand_in.frame)
    assert (request.batch.seq, request.batch.WhichOneof("form")) == (1, None)
    assert window.bytes == request.batch.ByteSize() + getattr(window.at(2), "size_bytes", 0)
    assert window.set_oldest_aside() is None


def test_a_failed_window_tells_what_is_left_once_and_raises_for_all_who_wait() -> None:
    window = Window(150)
    seal(window, rows=3)
    raised: list[HeadraceError] = []

    def wait() -> None:
        try:
            window.wait_settled(1, Deadline(60))
        except HeadraceError as error:
            raised.append(error)

    waiting = waits(window, wait)
    error = HeadraceError("over")
    assert [batch.rows for batch in window.fail(error)] == [3]
    assert window.fail(HeadraceError("again")) == ()
    waiting.join(10)
    assert raised == [error]
    with pytest.raises(HeadraceError, match="over"):
        seal(window)
    assert window.rows == 3
