"""Event ids: UUIDv7 made in a fraction of a microsecond, and composites of keys that are there already.

`uuid7(ms)` carries exactly the millisecond it is given, so that the service finds the event's chunk from the id alone.
Behind it stand 12 bits of counter and 62 bits that are drawn anew for every 256 ids; two ids are equal only if two
processes draw the same 62 bits and use them in the same millisecond. A forked child draws its own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from headrace.errors import InvalidArgumentError

_BLOCK = 256
_COUNTERS = [f"7{n:03x}" for n in range(_BLOCK)]


class _Tails:
    """The part of an id behind its millisecond: version and counter, variant and random bits.

    Attributes:
        block: Tails that are left.
        head: The latest millisecond with the part of an id that says it: at full speed a hundred ids share one.
    """

    def __init__(self) -> None:
        self.block: Iterator[str] = iter(())
        self.head = (-1, "")

    def refill(self) -> str:
        """Draw 62 new bits and return the first tail made of them.

        Two threads may refill at once: each gets a block of its own, the one stored last is used by both.
        """
        bits = int.from_bytes(os.urandom(8), "big")
        node = f"-{0x8000 | (bits >> 48) & 0x3FFF:04x}-{bits & 0xFFFFFFFFFFFF:012x}"
        block = iter([counter + node for counter in _COUNTERS])
        first = next(block)
        self.block = block
        return first

    def forget(self) -> None:
        """Never use the rest of this block: another process has it, too."""
        self.block = iter(())


_tails = _Tails()
os.register_at_fork(after_in_child=_tails.forget)


def uuid7(ms: int | None = None) -> str:
    """Return a new UUIDv7 as text.

    Args:
        ms: Milliseconds since 1970 that the id shall carry. Default: now.
    """
    if ms is None:
        ms = time.time_ns() // 1_000_000
    tail = next(_tails.block, None) or _tails.refill()
    of_ms, head = _tails.head
    if of_ms != ms:
        digits = f"{ms:012x}"
        head = f"{digits[:8]}-{digits[8:]}-"
        _tails.head = (ms, head)
    return head + tail


def composite_id(*parts: object) -> str:
    """Return an event id made of keys that the caller has: `composite_id("AA1", "JFK", "2013-01-01")`.

    Parts are joined by "-" as their str(); the caller sees to it that no two events give the same text.

    Raises:
        InvalidArgumentError: There are no parts, or the id is longer than the service's 128 bytes.
    """
    text = "-".join(map(str, parts))
    if not parts or not 1 <= len(text.encode()) <= 128:
        raise InvalidArgumentError(f"an event id has 1 to 128 bytes: {text[:140]!r}")
    return text
