"""Readiness follows what the copiers report, and is not talked back by a database that merely answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from headrace_server.ops import commit_watch
from headrace_server.ops.commit_watch import CommitWatch
from headrace_server.ops.metrics import Metrics


class World:
    """What the watch sees and says."""

    def __init__(self) -> None:
        self.ready: list[bool] = []
        self.probes = 0
        self.away: Exception | None = None

    async def set_ready(self, ready: bool) -> None:
        self.ready.append(ready)

    async def probe(self) -> None:
        self.probes += 1
        if self.away is not None:
            raise self.away


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(commit_watch, "PROBE_EVERY_S", 0.001)
    return World()


@pytest.fixture
async def watch(world: World) -> AsyncIterator[CommitWatch]:
    watch = CommitWatch(Metrics(version="0", instance="test"), world.set_ready, world.probe, lambda: None)
    running = asyncio.create_task(watch.run())
    yield watch
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_failure_turns_readiness_off_and_the_next_commit_turns_it_on(world: World, watch: CommitWatch) -> None:
    watch.database_fails(ConnectionRefusedError())
    await until(lambda: world.ready == [False])
    watch.committed(10, 0.01)
    await until(lambda: world.ready == [False, True])


async def test_a_database_that_answers_but_takes_no_commit_is_not_ready(world: World, watch: CommitWatch) -> None:
    watch.database_fails(OSError("disk full"))
    await until(lambda: world.probes > 5)
    assert world.ready == [False]


async def test_while_the_database_does_not_answer_a_commit_of_before_changes_nothing(
    world: World, watch: CommitWatch
) -> None:
    world.away = ConnectionRefusedError()
    watch.database_fails(world.away)
    watch.committed(10, 0.01)
    await until(lambda: world.probes > 5)
    assert world.ready == [False]
    world.away = None
    await until(lambda: world.ready == [False, True])


async def test_with_nothing_to_commit_quiet_and_an_answer_are_enough(
    monkeypatch: pytest.MonkeyPatch, world: World, watch: CommitWatch
) -> None:
    monkeypatch.setattr(commit_watch, "QUIET_S", 0.05)
    watch.database_fails(ConnectionResetError())
    await until(lambda: world.ready == [False, True])


async def test_every_failure_is_followed_by_readiness_again(world: World, watch: CommitWatch) -> None:
    for times in (1, 2, 3):
        watch.database_fails(ConnectionResetError())
        await until(lambda times=times: world.ready.count(False) == times)
        watch.committed(1, 0.01)
        await until(lambda times=times: world.ready.count(True) == times)
