"""Whether somebody else uses the machine: a turn beside a stranger's compiler says nothing about headrace.

Before a turn the benchmark waits until the machine is quiet, as long as its patience for the whole run lasts; during a
turn it notes what others took, the hypervisor included. Where enough turns were undisturbed, only they count.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import psutil

QUIET = 0.08  # share of all cores that others may take
LOOK_S = 0.25


@dataclass
class Patience:
    """Seconds that one run may spend waiting for quiet.

    Attributes:
        left_s: What is left of them.
        shares: What others took during the turns so far.
    """

    left_s: float
    shares: list[float] = field(default_factory=list)

    def wait(self) -> None:
        """Wait until nobody else is busy; nobody is measured now, so whatever is busy is somebody else."""
        while self.left_s > 0:
            begun = time.monotonic()
            busy = psutil.cpu_percent(LOOK_S) / 100
            if busy <= QUIET:
                return
            self.left_s -= time.monotonic() - begun


class Others:
    """What other processes take from now on."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._busy = _busy_seconds()

    def share(self, own_seconds: float) -> float:
        """Return the share of all cores that others took meanwhile, when we took so many processor seconds."""
        all_cores = (time.monotonic() - self._begun) * (psutil.cpu_count() or 1)
        return max(0.0, (_busy_seconds() - self._busy - own_seconds) / all_cores)


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - _guests(times))


def _guests(times: object) -> float:
    """Guests' time is part of user time already."""
    return float(getattr(times, "guest", 0.0)) + float(getattr(times, "guest_nice", 0.0))


def undisturbed(shares: list[float]) -> list[bool]:
    """Return which turns count: the undisturbed ones where there are at least two, else the quieter half."""
    calm = [share <= QUIET for share in shares]
    if sum(calm) >= min(2, len(shares)):
        return calm
    bound = sorted(shares)[(len(shares) - 1) // 2]
    return [share <= bound for share in shares]
