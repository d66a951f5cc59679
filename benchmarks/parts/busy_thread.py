"""What a busy serving thread loses when it logs 1,000 events a second: its own calls, and the SDK's work beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import headrace
from benchmarks.arena import Arena
from benchmarks.figures import Spread
from benchmarks.outcome import Grid, Outcome
from benchmarks.quiet import Others, undisturbed
from benchmarks.rows import THIRTEEN
from benchmarks.scale import Scale
from benchmarks.tables import make_table
from headrace import Identity

A_SECOND = 1_000
PAIRS = 6
NOTE = (
    "One thread computes without pause, in Python alone, so that it holds the interpreter's lock all the time: the "
    "worst case. With logging it calls log() for 1,000 events a second, while the SDK encodes and sends them. Units "
    "are told a second of the process's processor time, so that a busy machine is no loss; what the SDK's threads "
    "spend without the lock counts as lost, too. "
    "Turns with and without logging alternate, each neighbour first in turn; a loss is taken of two neighbours."
)


@dataclass(frozen=True)
class Work:
    """One turn: units of work a processor second of this process, and the share of the machine that strangers took."""

    rate: float
    others: float


def run(arena: Arena, scale: Scale) -> Outcome:
    """Alternate turns with and without logging."""
    table = make_table(arena, "busy", THIRTEEN, Identity.APPEND)
    own = list(THIRTEEN.types)
    events = [{name: row[name] for name in own} for row in THIRTEEN.rows(1_000)]
    pairs: list[tuple[Work, Work]] = []
    with headrace.connect(arena.service.grpc) as client:
        log = client.model(table.name).log

        def turn(logs: bool) -> Work:
            arena.patience.wait()
            return _work(arena, scale.seconds / 8, (lambda n: log(events[n % len(events)])) if logs else None)

        turn(True)
        for number in range(PAIRS * max(1, scale.rounds // 2)):
            first = turn(number % 2 == 0)
            second = turn(number % 2 == 1)
            pairs.append((second, first) if number % 2 == 0 else (first, second))
        client.flush()
    calm = undisturbed([max(alone.others, logging.others) for alone, logging in pairs])
    pairs = [pair for pair, counts in zip(pairs, calm, strict=True) if counts]
    loss = Spread.of([1 - logging.rate / alone.rate for alone, logging in pairs])
    rates = [Spread.of([pair[which].rate for pair in pairs]).median for which in (0, 1)]
    shown = f"{loss.median:.1%} ({loss.low:.1%} – {loss.high:.1%})"
    line = [*(f"{rate:,.0f}" for rate in rates), shown, str(len(pairs))]
    heads = ["units/CPU s alone", "units/CPU s, logging 1,000 events/s", "loss", "pairs"]
    return Outcome(
        figures={"loss.busy_thread": loss.median},
        spreads={"loss.busy_thread": (loss.low, loss.high)},
        grids=[Grid("A busy serving thread", heads, [line], NOTE)],
    )


def _work(arena: Arena, seconds: float, log: Callable[[int], object] | None) -> Work:
    """Compute for so long, and log meanwhile where asked to."""
    clock = time.perf_counter
    before, others = arena.meter.read(arena.service.pid), Others()
    begun, spent_before = clock(), time.process_time()
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
    own_s = time.process_time() - spent_before
    spent = arena.meter.read(arena.service.pid).since(before)
    return Work(units / own_s, others.share(spent.client + spent.service + spent.database))
