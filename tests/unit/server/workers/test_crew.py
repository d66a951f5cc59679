"""The crew with processes that are no services: what it makes of their ends."""

import asyncio
import sys
from pathlib import Path

import pytest

from headrace_server.config import Settings
from headrace_server.workers import pauses, worker
from headrace_server.workers.assignment import Assignment
from headrace_server.workers.crew import MOST_FAILED_STARTS, Crew
from headrace_server.workers.worker import NoWorkerServesError

SERVES = """
import os, signal, sys
from headrace_server.workers.report import Report
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
os.write(1, Report(serves=True).line())
signal.pause()
"""
FAILS = """
import os, sys
from headrace_server.workers.report import Report
os.write(1, Report(failure="the certificate cannot be read").line())
sys.exit(1)
"""
SERVES_ONCE = """
import os, signal
from headrace_server.workers.report import Report
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
os.write(1, Report(serves=True).line())
with open({path!r}, "a") as file:
    lives = file.tell() // 2 + 1
    file.write("x\\n")
if lives > 1:
    signal.pause()
"""


@pytest.fixture
def crew_of(monkeypatch):
    """Makes a crew of two whose workers run a script."""

    def make(script: str, program: str = sys.executable) -> Crew:
        monkeypatch.setattr(worker, "COMMAND", (program, "-c", script))
        monkeypatch.setattr(pauses, "FIRST_PAUSE_S", 0.01)
        return Crew([Assignment(number, 2, Path("/nowhere"), Settings()) for number in range(2)])

    return make


async def ended(crew: Crew) -> None:
    async with asyncio.timeout(60):
        await crew.run()


async def test_workers_run_until_they_are_told_to_stop(crew_of):
    crew = crew_of(SERVES)
    running = asyncio.create_task(ended(crew))
    await asyncio.wait_for(crew.all_serve.wait(), 30)
    crew.stop()
    await running


async def test_a_crew_that_is_stopped_before_it_serves_ends(crew_of):
    crew = crew_of("import signal; signal.pause()")
    running = asyncio.create_task(ended(crew))
    await asyncio.sleep(0)
    crew.stop()
    await running
    assert not crew.all_serve.is_set()


async def test_a_worker_that_ends_is_started_again(crew_of, tmp_path):
    path = tmp_path / "lives"
    crew = crew_of(SERVES_ONCE.format(path=str(path)))
    running = asyncio.create_task(ended(crew))
    async with asyncio.timeout(30):
        while not path.exists() or path.read_text().count("x") < 3:
            await asyncio.sleep(0.01)
    assert not running.done()
    crew.kill()
    crew.stop()
    await running


async def test_the_last_worker_that_served_ends_every_rest(crew_of, tmp_path, monkeypatch):
    path = tmp_path / "lives"
    crew = crew_of(SERVES_ONCE.format(path=str(path)))
    monkeypatch.setattr(pauses, "FIRST_PAUSE_S", 3_600.0)
    running = asyncio.create_task(ended(crew))

    async def lives(count: int) -> None:
        async with asyncio.timeout(30):
            while not path.exists() or path.read_text().count("x") < count:
                await asyncio.sleep(0.01)

    await lives(2)  # of one of them the first life is over: it rests
    crew.kill()
    await lives(4)
    crew.stop()
    await running


async def test_what_a_worker_says_keeps_it_from_serving_ends_the_first_start_at_once(crew_of):
    with pytest.raises(ExceptionGroup) as raised:
        await ended(crew_of(FAILS))
    assert raised.group_contains(NoWorkerServesError, match="^the certificate cannot be read$")


async def test_workers_that_die_again_and_again_without_a_word_end_the_crew(crew_of):
    with pytest.raises(ExceptionGroup) as raised:
        await ended(crew_of("import sys; sys.exit(3)"))
    text = rf"exit code 3 before it served.*\({MOST_FAILED_STARTS} times in a row\)"
    assert raised.group_contains(NoWorkerServesError, match=text)


async def test_workers_that_cannot_even_be_started_end_the_crew(crew_of):
    with pytest.raises(ExceptionGroup) as raised:
        await ended(crew_of("", program="/no/such/python"))
    assert raised.group_contains(NoWorkerServesError, match="a worker cannot be started")
