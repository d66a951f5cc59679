"""The buffer is bounded, each policy does what its name says, and no row is lost uncounted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from headrace import BufferFullError, ClosedError, Overflow, Settings
from headrace.logged.buffer import Buffer, row_bytes
from headrace.logged.counters import Counters
from support.eventually import eventually

Make = Callable[..., Buffer]


@pytest.fixture
def make() -> Make:
    def make_buffer(**settings: Any) -> Buffer:
        return Buffer(Settings(**settings), Counters())

    return make_buffer


def log(buffer: Buffer, *values: object) -> None:
    """Append as Model.log does."""
    for value in values:
        if len(buffer.rows) < buffer.notice:
            buffer.rows.append((None, value))
        else:
            buffer.admit((None, value))


def held(buffer: Buffer) -> list[object]:
    return [row[1] for row in buffer.rows]


def test_drop_newest_keeps_what_came_first(make: Make) -> None:
    buffer = make(buffer_rows=3)
    log(buffer, *range(5))
    assert held(buffer) == [0, 1, 2]
    assert buffer._counters.dropped == {"DROP_NEWEST": 2}
    assert buffer.given == 5


def test_drop_oldest_keeps_what_is_fresh(make: Make) -> None:
    buffer = make(buffer_rows=3, overflow=Overflow.DROP_OLDEST)
    log(buffer, *range(5))
    assert held(buffer) == [2, 3, 4]
    assert buffer._counters.dropped == {"DROP_OLDEST": 2}
    assert (buffer.given, buffer.passed) == (5, 2)


def test_raise_refuses_the_row_and_does_not_count_it_as_given(make: Make) -> None:
    buffer = make(buffer_rows=1, overflow=Overflow.RAISE)
    log(buffer, 0)
    with pytest.raises(BufferFullError):
        log(buffer, 1)
    assert buffer.given == 1


def test_block_waits_for_space(make: Make) -> None:
    buffer = make(buffer_rows=1, overflow=Overflow.BLOCK, overflow_timeout_s=30.0)
    log(buffer, 0)
    waiting = threading.Thread(target=log, args=(buffer, 1))
    waiting.start()
    eventually(lambda: buffer._space._waiters)  # type: ignore[attr-defined]
    assert [row[1] for row in buffer.take(1)] == [0]
    waiting.join(10)
    assert held(buffer) == [1]
    assert not buffer._counters.dropped


def test_block_drops_and_counts_when_there_is_no_space_in_time(make: Make) -> None:
    buffer = make(buffer_rows=1, overflow=Overflow.BLOCK, overflow_timeout_s=0.01)
    log(buffer, 0, 1)
    assert held(buffer) == [0]
    assert buffer._counters.dropped == {"BLOCK": 1}


def test_the_bytes_of_rows_bound_their_number(make: Make) -> None:
    small, large = make(buffer_bytes=100_000), make(buffer_bytes=100_000)
    log(small, *[{"x": 1.0}] * 10_000)
    log(large, *[{"x": [1.0] * 1_000}] * 10_000)
    for buffer in (small, large):
        assert 0.5 * 100_000 < sum(map(row_bytes, buffer.rows)) <= 100_000
        assert buffer.given == 10_000


def test_rows_that_grow_heavier_are_noticed_before_they_double(make: Make) -> None:
    buffer = make(buffer_bytes=1_000_000)
    log(buffer, *[{"x": 1.0}] * 100)
    log(buffer, *[{"x": [1.0] * 5_000}] * 1_000)
    assert sum(map(row_bytes, buffer.rows)) < 10_000_000


def test_rows_leave_in_the_order_they_came(make: Make) -> None:
    buffer = make()
    log(buffer, *range(100))
    assert [row[1] for row in buffer.take(60)] == list(range(60))
    assert [row[1] for row in buffer.take(60)] == list(range(60, 100))
    assert (buffer.taken, buffer.given) == (100, 100)


def test_the_sealer_is_woken_by_the_row_it_waits_for_and_by_none_before(make: Make) -> None:
    buffer = make()
    for wanted in (1, 5):
        buffer.wake.clear()
        buffer.wake_at(wanted)
        for _ in range(wanted):
            assert not buffer.wake.is_set()
            log(buffer, "row")
        assert buffer.wake.is_set()
        buffer.take(10)


def test_a_sealer_that_waits_for_fewer_rows_than_there_are_is_woken_at_once(make: Make) -> None:
    buffer = make()
    log(buffer, *range(10))
    buffer.wake.clear()
    buffer.wake_at(10)
    assert buffer.wake.is_set()


def test_a_closed_buffer_accepts_nothing(make: Make) -> None:
    buffer = make()
    log(buffer, 0)
    buffer.close()
    with pytest.raises(ClosedError):
        log(buffer, 1)
    assert held(buffer) == [0]


def test_drops_are_told_once(make: Make) -> None:
    buffer = make(buffer_rows=1)
    log(buffer, 0, 1, 2)
    assert buffer.untold_drops() == {"DROP_NEWEST": 2}
    assert buffer.untold_drops() == {}


def test_rows_of_many_threads_are_all_given_or_counted(make: Make) -> None:
    buffer = make(buffer_rows=1_000, overflow=Overflow.DROP_OLDEST)
    threads = [threading.Thread(target=log, args=(buffer, *range(2_000))) for _ in range(4)]
    for thread in threads:
        thread.start()
    taken = []
    while any(thread.is_alive() for thread in threads):
        taken += buffer.take(100)
    assert buffer.given == 8_000 == len(taken) + len(buffer.rows) + buffer._counters.dropped.get("DROP_OLDEST", 0)


def test_a_child_begins_empty(make: Make) -> None:
    buffer = make(buffer_rows=1)
    log(buffer, 0, 1)
    buffer.after_fork_in_child()
    assert (held(buffer), buffer.given, buffer.notice) == ([], 0, 0)
