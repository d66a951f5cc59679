from __future__ import annotations

import asyncio
import os
from pathlib import Path

import psutil
import pytest

from headrace_server.storage.embedded.command import run
from headrace_server.storage.embedded.errors import CommandError

# A program with a child of its own, which names both and would run for ever.
FAMILY = "sleep 1000 & echo $$ $! > pids.new && mv pids.new pids; wait"


async def family_in(folder: Path) -> list[psutil.Process]:
    async with asyncio.timeout(10):
        while not (folder / "pids").exists():
            await asyncio.sleep(0.01)
    return [psutil.Process(int(pid)) for pid in (folder / "pids").read_text().split()]


def all_gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=10)
    return not alive


async def test_both_streams_are_returned() -> None:
    assert await run(["sh", "-c", "echo out; echo err >&2"], timeout_s=10) == "out\nerr\n"


async def test_a_failure_carries_what_was_printed() -> None:
    with pytest.raises(CommandError, match="sh failed with exit code 3:\nno such luck"):
        await run(["sh", "-c", "echo no such luck; exit 3"], timeout_s=10)


async def test_a_missing_program_is_named() -> None:
    with pytest.raises(CommandError, match="no-such-program could not be started"):
        await run(["no-such-program"], timeout_s=10)


async def test_a_missed_deadline_kills_the_program_and_its_children(tmp_path: Path) -> None:
    async def watched() -> None:
        await run(["sh", "-c", FAMILY], timeout_s=0.5, cwd=tmp_path)

    running = asyncio.create_task(watched())
    processes = await family_in(tmp_path)
    with pytest.raises(CommandError, match=r"sh did not end within 0\.5 s"):
        await running
    assert all_gone(processes)


async def test_a_cancelled_caller_leaves_nothing_running(tmp_path: Path) -> None:
    running = asyncio.create_task(run(["sh", "-c", FAMILY], timeout_s=100, cwd=tmp_path))
    processes = await family_in(tmp_path)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert all_gone(processes)


async def test_our_own_variables_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_API_KEY", "secret")
    monkeypatch.setenv("PGDATA", "/elsewhere")
    printed = await run(["env"], timeout_s=10, environment={"http_proxy": "http://proxy"})
    names = {line.partition("=")[0] for line in printed.splitlines()} - {"PWD", "SHLVL", "_"}
    assert names == {"PATH", "HOME", "LC_ALL", "http_proxy"} | ({"TMPDIR"} & os.environ.keys())
