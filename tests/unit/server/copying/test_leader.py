"""How a leader shares its time: it rests while calls keep coming, and not once they have ceased."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from headrace_server.copying import leader as leader_module
from headrace_server.copying.leader import CALM_S, REST, Leader


class Database:
    """A connection on which the lock is always free."""

    async def execute(self, *_: object) -> None:
        pass

    async def add_listener(self, *_: object) -> None:
        pass

    async def fetchval(self, *_: object) -> bool:
        return True

    def terminate(self) -> None:
        pass


class Clock:
    """Sleeps take no time; the clock says that they did. Something may happen at each."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self._let_others_run = asyncio.sleep  # the real one, as it was before a test put its own in its place
        self.during_sleep: Callable[[], object] = lambda: None

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.during_sleep()
        await self._let_others_run(0)


async def turns(monkeypatch: pytest.MonkeyPatch, *, works_s: float, rows_keep_coming: bool) -> list[float]:
    """When three turns of a leader began, each of which works for so long and leaves some of its work."""
    clock, begun, ended = Clock(), list[float](), asyncio.Event()
    monkeypatch.setattr(leader_module, "monotonic", clock.monotonic)

    async def connect() -> Any:
        return Database()

    async def work(_: object) -> bool:
        begun.append(clock.now)
        if len(begun) == 3:
            ended.set()
            await asyncio.Event().wait()
        clock.now += works_s
        return True

    leader = Leader(connect, work, name="test", every_s=30.0, gather_s=0.5)
    leader.wake()
    if rows_keep_coming:
        clock.during_sleep = leader.wake
    with monkeypatch.context() as patched:
        patched.setattr(leader_module.asyncio, "sleep", clock.sleep)
        running = asyncio.create_task(leader.run())
        async with asyncio.timeout(20):
            await ended.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return [moment - begun[0] for moment in begun]


async def test_while_calls_keep_coming_it_rests_nine_times_as_long_as_it_worked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cycle = 2.0 + REST * 2.0
    assert await turns(monkeypatch, works_s=2.0, rows_keep_coming=True) == [0.0, cycle, 2 * cycle]


async def test_once_calls_have_ceased_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    _, second, third = await turns(monkeypatch, works_s=CALM_S, rows_keep_coming=False)
    assert second == pytest.approx(CALM_S + 0.5)
    assert third == pytest.approx(2 * second)
