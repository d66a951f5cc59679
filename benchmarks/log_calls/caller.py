"""Times single calls, as fast as they go or paced like a server's requests."""

from __future__ import annotations

import time
from array import array
from collections.abc import Mapping, Sequence
from typing import Protocol

Features = Mapping[str, object]


class Caller(Protocol):
    """Something that logs an event from the request path."""

    name: str

    def call(self, features: Features) -> str:
        """Log an event of these features with an id and the time; return the id."""

    def settle(self) -> None:
        """Deliver what was logged; not timed."""

    def close(self) -> None:
        """End threads and connections."""


def unpaced(caller: Caller, events: Sequence[Features]) -> array[int]:
    """Return nanoseconds of each call, one after the other."""
    call, clock = caller.call, time.perf_counter_ns
    took = array("q", bytes(8 * len(events)))
    for number, features in enumerate(events):
        begun = clock()
        call(features)
        took[number] = clock() - begun
    return took


def paced(caller: Caller, events: Sequence[Features], a_second: int) -> array[int]:
    """Return nanoseconds of each call, with the thread asleep between calls as a server's is."""
    call, clock, interval = caller.call, time.perf_counter_ns, 1_000_000_000 // a_second
    took = array("q", bytes(8 * len(events)))
    due = clock()
    for number, features in enumerate(events):
        due += interval
        if (left := due - clock()) > 0:
            time.sleep(left / 1e9)
        begun = clock()
        call(features)
        took[number] = clock() - begun
    return took
