"""Signals become requests, and a grace is spent together."""

import asyncio
import os
import signal

import pytest

from headrace_server.stopping import SIGNALS, Grace, StopRequest, on_signals


@pytest.mark.parametrize("number", SIGNALS)
async def test_the_first_signal_asks_and_the_second_forces(number: signal.Signals) -> None:
    with on_signals() as stop:
        os.kill(os.getpid(), number)
        async with asyncio.timeout(5):
            await stop.asked.wait()
        assert not stop.forced.is_set()
        os.kill(os.getpid(), number)
        async with asyncio.timeout(5):
            await stop.forced.wait()


async def test_a_grace_covers_what_is_done_in_time() -> None:
    done = asyncio.Event()
    asyncio.get_running_loop().call_soon(done.set)
    assert await Grace(30.0, StopRequest()).covers(done.is_set)


async def test_a_grace_ends_once_for_everything() -> None:
    grace = Grace(0.01, StopRequest())
    assert not await grace.covers(lambda: False)
    assert not await grace.covers(lambda: False)
    assert await grace.covers(lambda: True), "what is done already needs no grace"


async def test_a_second_signal_ends_the_grace() -> None:
    stop = StopRequest()
    waiting = asyncio.create_task(Grace(30.0, stop).covers(lambda: False))
    await asyncio.sleep(0)
    stop.ask()
    stop.ask()
    async with asyncio.timeout(5):
        assert not await waiting
