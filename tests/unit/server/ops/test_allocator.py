"""Memory that is free goes back to the system, but not while rows are under way."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import suppress

import pytest

from headrace_server.ops import allocator

HELD = """
from pathlib import Path
from headrace_server.ops.allocator import bound_arenas, give_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

bound_arenas()
blocks = [bytearray(40_000) for _ in range(5_000)]
last = bytearray(40_000)
del blocks
before = resident()
give_back()
print(before - resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_what_is_free_below_something_that_is_not_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) > 100_000_000


async def test_it_looks_again_and_again_and_does_nothing_while_rows_are_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    idle = iter([False, False, True, False, True])
    given, done = [], asyncio.Event()

    def is_idle() -> bool:
        answer = next(idle, None)
        if answer is None:
            done.set()
        return bool(answer)

    monkeypatch.setattr(allocator, "give_back", lambda: given.append(True))
    looking = asyncio.create_task(allocator.give_back_when_idle(is_idle, every_s=0.0))
    await done.wait()
    looking.cancel()
    with suppress(asyncio.CancelledError):
        await looking
    assert len(given) == 2
