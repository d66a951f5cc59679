"""What a row costs while its table grows from one million rows to twenty (bench-full)."""

from __future__ import annotations

from datetime import timedelta
from time import perf_counter

from benchmarks.arena import Arena
from benchmarks.figures import Spread, rounded
from benchmarks.outcome import Grid, Outcome
from benchmarks.rows import THIRTEEN, Row
from benchmarks.scale import Scale
from benchmarks.tables import Table, make_table
from headrace import Identity, uuid7

MILLION = 1_000_000
NOTE = (
    "publish() of the 13-column row, one million rows after another, their times going on as those of live events do. "
    "The comparison is of the first and the last fifth, without the first million."
)


def run(arena: Arena, scale: Scale) -> Outcome:
    """Fill an APPEND and a UNIQUE table."""
    millions = scale.millions
    outcome, lines = Outcome(), []
    for identity in (Identity.APPEND, Identity.UNIQUE):
        table = make_table(arena, f"growth_{identity.name.lower()}", THIRTEEN, identity)
        costs = [_a_million(table, number) for number in range(millions)]
        grown = costs[1:]
        tail = max(1, len(grown) // 5)
        first, last = Spread.of(grown[:tail]).median, Spread.of(grown[-tail:]).median
        name = identity.name.lower()
        outcome.figures[f"growth.{name}_last_vs_first"] = last / first
        outcome.series[f"growth, {identity.name}"] = [(n + 1.0, cost) for n, cost in enumerate(costs)]
        lines.append([identity.name, rounded(first), rounded(last), f"{last / first - 1:+.0%}"])
        table.drop(arena)
    heads = ["", "µs/row from 1 M rows", f"µs/row up to {millions} M", "change"]
    outcome.grids.append(Grid("While the table grows", heads, lines, NOTE))
    return outcome


def _a_million(table: Table, number: int, a_time: int = 250_000) -> float:
    """Publish the next million; return µs a row."""
    seconds = 0.0
    for part in range(MILLION // a_time):
        rows = _later(a_time, number * MILLION + part * a_time)
        begun = perf_counter()
        result = table.model.publish(rows)
        seconds += perf_counter() - begun
        if result.stored != a_time:
            raise RuntimeError(f"not stored: {result}")
    return seconds * 1e6 / MILLION


def _later(count: int, offset: int) -> list[Row]:
    """Return rows whose times begin where those before them ended."""
    after = timedelta(milliseconds=offset)
    rows = []
    for values in THIRTEEN.values(count):
        moment = values["event_time"] + after
        rows.append({**values, "event_id": uuid7(int(moment.timestamp() * 1000)), "event_time": moment})
    return rows
