"""What a busy serving thread loses when it logs 1,000 events a second: its own calls, and the SDK's work beside it."""

from __future__ import annotations

import time
from collections.abc import Callable

import headrace
from benchmarks.arena import Arena
from benchmarks.figures import Spread
from benchmarks.outcome import Grid, Outcome
from benchmarks.rows import THIRTEEN
from benchmarks.scale import Scale
from benchmarks.tables import make_table
from headrace import Identity

A_SECOND = 1_000
NOTE = (
    "One thread computes without pause, in Python alone, so that it holds the interpreter's lock all the time: the "
    "worst case. With logging it calls log() for 1,000 events a second, while the SDK encodes and sends them. "
    "Turns with and without logging alternate; a loss is taken of two neighbours."
)


def run(arena: Arena, scale: Scale) -> Outcome:
    """Alternate turns with and without logging."""
    table = make_table(arena, "busy", THIRTEEN, Identity.APPEND)
    own = list(THIRTEEN.types)
    events = [{name: row[name] for name in own} for row in THIRTEEN.rows(1_000)]
    losses, alone, logging = [], [], []
    with headrace.connect(arena.service.grpc) as client:
        log = client.model(table.name).log
        seconds = scale.seconds / 5
        _work(0.5, lambda number: log(events[number % len(events)]))
        for _ in range(2 * scale.rounds):
            alone.append(_work(seconds, None))
            logging.append(_work(seconds, lambda number: log(events[number % len(events)])))
            losses.append(1 - logging[-1] / alone[-1])
        client.flush()
    loss = Spread.of(losses)
    line = [f"{Spread.of(alone).median:,.0f}", f"{Spread.of(logging).median:,.0f}"]
    line.append(f"{loss.median:.1%} ({loss.low:.1%} – {loss.high:.1%})")
    grid = Grid("A busy serving thread", ["units/s alone", "units/s, logging 1,000 events/s", "loss"], [line], NOTE)
    return Outcome(
        figures={"loss.busy_thread": loss.median}, spreads={"loss.busy_thread": (loss.low, loss.high)}, grids=[grid]
    )


def _work(seconds: float, log: Callable[[int], object] | None) -> float:
    """Compute for so long; return units of work a second."""
    clock = time.perf_counter
    begun = clock()
    units = logged = 0
    while (passed := clock() - begun) < seconds:
        total = 0
        for number in range(500):
            total += number * number % 7
        units += 1
        if log is not None:
            due = int(passed * A_SECOND)
            while logged < due:
                log(logged)
                logged += 1
    return units / passed
