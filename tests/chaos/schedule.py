"""Which faults, how often, in which runs, with which seeds: everything about a run follows from its seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from chaos.faults import COMPOUND, FAULTS, Fault
from chaos.run import Run

MOST_CYCLES = 25  # in one run: a replay is short
COMPOUND_CYCLES = 3  # of overlapping faults; so that there are many seeds

# Cheap ones and dear ones as one replica of the service and a short test can bear them.
SHORT = {
    "kill-service": 1,
    "kill-service-mid_copy": 1,
    "kill-service-after_commit": 1,
    "kill-service-before_settling": 1,
    "kill-service-at-commit": 1,
    "kill-backend": 2,
    "kill-postmaster": 1,
    "kill-producer": 1,
    "terminate-backends": 4,
    "lost-before-commit": 4,
    "lost-after-commit": 4,
    "reset-door": 2,
    "reset-line": 1,
    "stop-service": 1,
}


def short(seed: int) -> Run:
    """One run of 25 cycles on one system."""
    faults = [FAULTS[name] for name, times in SHORT.items() for _ in range(times)]
    Random(seed).shuffle(faults)
    return Run(faults, seed, producers=2)


def full(seed: int, faults: Sequence[Fault], cycles: int | None = None) -> Iterator[Run]:
    """Runs of one fault each; the first run of each has the seed itself, the next ones those that follow it.

    Args:
        seed: Where seeds begin.
        faults: Which faults.
        cycles: How often each is dealt. Default: as often as the full form wants.
    """
    for fault in faults:
        left, own = fault.cycles if cycles is None else cycles, seed
        while left > 0:
            count = min(left, COMPOUND_CYCLES if fault is COMPOUND else MOST_CYCLES)
            yield Run([fault] * count, own)
            left, own = left - count, own + 1
