"""What a part of the benchmark has found: figures by their public names, and a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Grid:
    """A table for people.

    Attributes:
        title: What it shows.
        columns: Heads of the columns.
        lines: Cells, a line each.
        note: What one has to know to read it.
    """

    title: str
    columns: Sequence[str]
    lines: Sequence[Sequence[str]]
    note: str = ""

    def markdown(self) -> str:
        """Return it as Markdown."""
        head = f"| {' | '.join(self.columns)} |\n| {' | '.join(['---'] * len(self.columns))} |"
        body = "\n".join(f"| {' | '.join(line)} |" for line in self.lines)
        note = f"\n\n{self.note}" if self.note else ""
        return f"### {self.title}\n\n{head}\n{body}{note}\n"


@dataclass
class Outcome:
    """The findings of one part.

    Attributes:
        figures: Numbers by public name, e.g. `ratio.log_vs_copy`; times are µs or ms as the name says.
        spreads: Least and greatest value of a figure, where it is a median.
        grids: Tables.
        series: Points for pictures: name → (x, y).
    """

    figures: dict[str, float] = field(default_factory=dict)
    spreads: dict[str, tuple[float, float]] = field(default_factory=dict)
    grids: list[Grid] = field(default_factory=list)
    series: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def add(self, other: Outcome) -> None:
        """Take over what another part has found."""
        self.figures |= other.figures
        self.spreads |= other.spreads
        self.grids += other.grids
        self.series |= other.series
