"""A contest: subjects that write the same rows, in turns, round after round.

A turn of a subject: it is given the round's rows, the service counts what it has stored, the database writes its
checkpoint (none of it timed), then the clock runs until every row is durable. Subjects take turns within a round
(A B C, A B C …), so whatever happens to the machine happens to all of them. The first round warms up and is not
counted: chunks are made, plans are cached.
"""

from __future__ import annotations

import gc
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Protocol, runtime_checkable

from benchmarks.arena import Arena
from benchmarks.cpu import Cpu
from benchmarks.figures import Spread, ratios, rounded
from benchmarks.outcome import Grid
from benchmarks.quiet import Others, undisturbed
from benchmarks.rows import Row, Shape
from benchmarks.tables import Table


class Subject(Protocol):
    """Something that writes rows."""

    name: str
    table: Table
    row_count: int
    """Rows of a turn."""

    def prepare(self, rows: Sequence[Row]) -> None:
        """Take the rows of the next turn, and do what is not to be timed."""

    def run(self) -> None:
        """Write them; return when every row is durable."""

    def service_pid(self) -> int | None:
        """The process between this one and the database; None for none."""

    def close(self) -> None:
        """Let go of connections and processes."""


@runtime_checkable
class Repeats(Protocol):
    """A subject that writes some rows more than once."""

    def stored_rows(self) -> int:
        """Return how many rows its table has to hold."""


@dataclass(frozen=True)
class Turn:
    """One timed turn."""

    rows: int
    seconds: float
    cpu: Cpu
    others: float = 0.0
    """Share of the machine that strangers took meanwhile."""

    @property
    def us_a_row(self) -> float:
        """Microseconds a row, by the clock."""
        return 1e6 * self.seconds / self.rows


@dataclass
class Results:
    """The turns of a contest, by subject."""

    turns: dict[str, list[Turn]] = field(default_factory=lambda: defaultdict(list))

    def cost(self, name: str) -> Spread:
        """Return a subject's microseconds a row."""
        return Spread.of(self.costs(name))

    def costs(self, name: str) -> list[float]:
        """Return a subject's microseconds a row in its undisturbed turns."""
        turns = self.turns[name]
        calm = undisturbed([turn.others for turn in turns])
        return [turn.us_a_row for turn, counts in zip(turns, calm, strict=True) if counts]

    def rate(self, name: str) -> float:
        """Return a subject's rows a second."""
        return 1e6 / self.cost(name).median

    def ratio(self, name: str, to: str) -> Spread:
        """Return how many times as fast a subject is as another, in the rounds in which both were undisturbed."""
        pairs = list(zip(self.turns[name], self.turns[to], strict=True))
        calm = undisturbed([max(here.others, there.others) for here, there in pairs])
        pairs = [pair for pair, counts in zip(pairs, calm, strict=True) if counts]
        return ratios([here.us_a_row for here, _ in pairs], [there.us_a_row for _, there in pairs])

    def grid(self, title: str, to: str, note: str = "") -> Grid:
        """Return all subjects as a table, with each one's speed against `to`."""
        lines = []
        for name in self.turns:
            cpu = self.cpu(name)
            spent = [rounded(seconds) for seconds in (cpu.client, cpu.service, cpu.database)]
            lines.append([name, f"{self.rate(name):,.0f}", str(self.cost(name)), str(self.ratio(name, to)), *spent])
        heads = ["", "rows/s", "µs/row", f"speed against {to}", "client CPU", "service CPU", "database CPU"]
        return Grid(title, heads, lines, note)

    def cpu(self, name: str) -> Cpu:
        """Return a subject's processor time in µs a row, of all turns together: the kernel counts in 10 ms."""
        turns = self.turns[name]
        total = Cpu()
        for turn in turns:
            total = total.and_also(turn.cpu)
        return total.us_a_row(sum(turn.rows for turn in turns))


def contest(arena: Arena, subjects: Sequence[Subject], rounds: int, *, keep: bool = False) -> Results:
    """Let the subjects take turns.

    Args:
        arena: Where.
        subjects: Who; they are closed afterwards.
        rounds: Rounds that count.
        keep: Leave the tables for whoever wants to look into them.

    Raises:
        RuntimeError: A subject's table does not hold what it was given: its figures would be worth nothing.
    """
    try:
        results, written = _take_turns(arena, subjects, rounds)
    finally:
        for subject in subjects:
            subject.close()
    for subject in subjects:
        expected = subject.stored_rows() if isinstance(subject, Repeats) else written[subject.name]
        stored = subject.table.count(arena)
        if stored != expected:
            raise RuntimeError(f"{subject.name}: the table holds {stored} rows in place of {expected}")
        if not keep:
            subject.table.drop(arena)
    return results


def _take_turns(arena: Arena, subjects: Sequence[Subject], rounds: int) -> tuple[Results, dict[str, int]]:
    """Return the turns that count, and the rows that each subject was given in all."""
    results = Results()
    written: dict[str, int] = defaultdict(int)
    for number in range(rounds + 1):
        supply = Supply()
        for subject in subjects:
            subject.prepare(supply.rows(subject.table.shape, subject.row_count))
            turn = _turn(arena, subject)
            written[subject.name] += turn.rows
            if number > 0:
                results.turns[subject.name].append(turn)
        _tell(f"round {number} of {rounds}")
    return results, written


class Supply:
    """The rows of one round, the same dicts for every subject; the tables differ, so the ids may repeat there."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Row]] = {}

    def rows(self, shape: Shape, count: int) -> Sequence[Row]:
        """Return the round's rows of a shape."""
        rows = self._rows.get(shape.name)
        if rows is None or len(rows) < count:
            rows = self._rows[shape.name] = shape.rows(count)
        return rows[:count] if len(rows) > count else rows


def _turn(arena: Arena, subject: Subject) -> Turn:
    arena.wait_until_counted()
    arena.execute("CHECKPOINT")
    gc.collect()
    arena.patience.wait()
    gc.freeze()  # what the rows weigh for Python's collector is the harness's business, whoever takes the turn
    before, others = arena.meter.read(subject.service_pid()), Others()
    begun = perf_counter()
    subject.run()
    seconds = perf_counter() - begun
    cpu = arena.meter.read(subject.service_pid()).since(before)
    share = others.share(cpu.client + cpu.service + cpu.database)
    arena.patience.shares.append(share)
    gc.unfreeze()
    _tell(f"{subject.name}: {1e6 * seconds / subject.row_count:.2f} µs/row, others took {share:.0%}")
    return Turn(subject.row_count, seconds, cpu, share)


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
