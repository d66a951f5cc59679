"""How much is measured: enough for a median in a few minutes, more for an hour, little for a try."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Sizes of a run.

    Attributes:
        rounds: Counted rounds of a contest.
        rows: Rows of a turn of something fast; slower things take a share of it.
        seconds: How long something paced is watched.
        millions: Rows that a growing table reaches, in millions.
        late_rows: Labels that come in random order.
    """

    rounds: int
    rows: int
    seconds: float
    millions: int
    late_rows: int

    def share(self, part: float) -> int:
        """Return a share of the rows, in whole thousands."""
        return max(1_000, round(self.rows * part / 1_000) * 1_000)


NORMAL = Scale(rounds=5, rows=240_000, seconds=8.0, millions=20, late_rows=1_000_000)
QUICK = Scale(rounds=1, rows=40_000, seconds=2.0, millions=3, late_rows=60_000)
FULL = Scale(rounds=7, rows=300_000, seconds=20.0, millions=20, late_rows=1_000_000)
