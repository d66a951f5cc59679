"""Failpoints do nothing unless the process armed them itself."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from headrace_server import failpoints


@pytest.fixture
def struck() -> Iterator[list[int]]:
    """Signals that this process gave itself."""
    signals: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: signals.append(number))
    yield signals
    signal.signal(signal.SIGUSR1, before)
    failpoints._armed.clear()


def test_unarmed_steps_are_passed(struck: list[int]) -> None:
    for step in failpoints.STEPS:
        failpoints.reached(step)
    data = memoryview(b"rows")
    assert failpoints.copied(data) is data
    assert not struck


def test_an_armed_step_strikes_once_when_it_is_time(struck: list[int]) -> None:
    failpoints.arm("after_commit", signal.SIGUSR1, passes=2)
    failpoints.reached("after_commit")
    failpoints.reached("after_copy")
    assert not struck
    failpoints.reached("after_commit")
    failpoints.reached("after_commit")
    assert struck == [signal.SIGUSR1]


async def test_a_copy_is_cut_in_halves_and_is_whole(struck: list[int]) -> None:
    failpoints.arm("mid_copy", signal.SIGUSR1, passes=1)
    parts = failpoints.copied(memoryview(b"rowsrow"))
    assert not isinstance(parts, memoryview)
    assert b"".join([bytes(part) async for part in parts]) == b"rowsrow"
    assert struck == [signal.SIGUSR1]


def test_there_is_no_other_step() -> None:
    with pytest.raises(ValueError, match="before_lunch"):
        failpoints.arm("before_lunch", signal.SIGUSR1, 1)
