"""Deadlines that can be brought forward: what every wait of the client looks at.

A wait looks at its deadline at least once a second, so one that is expired from another thread (a cancelled asyncio
task, for one) ends the wait within that time.
"""

from __future__ import annotations

import math
import threading
import time

_TICK_S = 1.0


class Deadline:
    """A point in time until which to wait.

    Args:
        timeout_s: Seconds from now; None: for ever, or until `expire`.
    """

    __slots__ = ("_at",)

    def __init__(self, timeout_s: float | None) -> None:
        self._at = math.inf if timeout_s is None else time.monotonic() + timeout_s

    @classmethod
    def of(cls, timeout: float | Deadline | None) -> Deadline:
        """Return a timeout in seconds as a deadline; a deadline is one already."""
        return timeout if isinstance(timeout, Deadline) else cls(timeout)

    @property
    def left_s(self) -> float:
        """Seconds left, 0 when it has passed, infinite when there is none."""
        return max(0.0, self._at - time.monotonic())

    @property
    def has_passed(self) -> bool:
        """Whether to wait no longer."""
        return time.monotonic() >= self._at

    def expire(self) -> None:
        """Let it have passed; may be called from any thread."""
        self._at = -math.inf

    def wait(self, changed: threading.Condition) -> bool:
        """Wait for a change, a second at most; False when the deadline has passed. The condition's lock is held."""
        if self.has_passed:
            return False
        changed.wait(min(self.left_s, _TICK_S))
        return True
