"""The private runtime is made for real: packages fetched, unpacked, moved, and run."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from headrace_server.storage.embedded import runtime
from headrace_server.storage.embedded.command import run
from headrace_server.storage.embedded.debian_packages import archives
from headrace_server.storage.embedded.runtime import find_or_make
from support.timescale import reachable_folder

pytestmark = pytest.mark.skipif(not archives(), reason="this machine's apt names no archive with TimescaleDB")

MAKER = """
import asyncio, sys
from pathlib import Path
from headrace_server.storage.embedded import runtime
runtime.installed = lambda: iter(())
async def make():
    await runtime.find_or_make(Path(sys.argv[1]), None, Path("/data"), lambda name, facts: print(name, flush=True))
asyncio.run(make())
"""


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder of runtimes, on a machine that has no PostgreSQL of its own."""
    monkeypatch.setattr(runtime, "installed", lambda: iter(()))
    made = reachable_folder()
    yield made
    shutil.rmtree(made)


async def test_after_a_killed_attempt_two_at_once_make_it_once_and_it_runs(folder: Path) -> None:
    command = [sys.executable, "-c", MAKER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:  # noqa: ASYNC220
        assert killed.stdout is not None
        assert killed.stdout.readline() == "embedded_runtime_making\n"
        async with asyncio.timeout(60):
            while not psutil.Process(killed.pid).children():
                await asyncio.sleep(0.01)
        killed.kill()  # apt, which it had started, goes on meanwhile
    assert not (folder / "postgresql").exists()

    events: list[str] = []

    def remember(name: str, facts: Mapping[str, object]) -> None:
        events.append(name)

    found = await asyncio.gather(*(find_or_make(folder, None, Path("/data"), remember) for _ in range(2)))
    assert events == ["embedded_runtime_making", "embedded_runtime_made"]
    assert found[0] == found[1]
    assert found[0].programs.is_relative_to(folder)
    assert sorted(os.listdir(folder)) == ["making.lock", "postgresql"]  # noqa: PTH208
    assert f"psql (PostgreSQL) {found[0].version}" in await run([found[0].psql, "--version"], timeout_s=20)
