"""What the allocators keep: told to keep less before the first thread starts, and to give back after a burst.

glibc gives each thread an arena of its own, and an arena gives back by itself only what is free at its end. gRPC's
threads allocate what ours free, so by default every arena holds on to its own peak. Measured with 1,000 streams of JSON
against a database that stood still: 1,037 MB resident with arenas for all, 816 with two. When all was acknowledged, 616
of 679 MB stayed resident; asked for what is free anywhere, the arenas gave back all but 207.

Smaller limits from which memory is mapped, and so given back at once, were tried: they cost half a microsecond a row.
"""

import asyncio
import ctypes
from collections.abc import Callable
from contextlib import suppress

ARENAS = 2
LOOK_S = 60.0
_M_ARENA_MAX = -8  # malloc.h of glibc


def bound_arenas() -> None:
    """Let all threads share a few arenas; does nothing where the C library is another one."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)


async def give_back_when_idle(is_idle: Callable[[], bool], every_s: float = LOOK_S) -> None:
    """Give free memory back to the system now and then, while nothing is under way; owned by the caller's TaskGroup."""
    while True:
        await asyncio.sleep(every_s)
        if is_idle():
            await asyncio.to_thread(give_back)


def give_back() -> None:
    """Give free memory back to the system; takes some milliseconds, in which other threads wait for theirs."""
    import pyarrow as pa  # noqa: PLC0415 - bound_arenas goes before it, since it starts threads

    pa.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
