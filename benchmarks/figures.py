"""The arithmetic of the benchmark: medians with their spread, ratios within a round, percentiles, straight lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Spread:
    """A median with the least and the greatest value it was taken of."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """Return the spread of at least one value."""
        return Spread(median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{rounded(self.median)} ({rounded(self.low)} – {rounded(self.high)})"


def rounded(value: float) -> str:
    """Return a number with three digits that mean something."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def ratios(fast: Sequence[float], slow: Sequence[float]) -> Spread:
    """Return how many times as fast as `slow` `fast` is, round by round.

    A ratio is taken of two runs of one round, minutes of a busy machine apart from those of another round; so what
    slows both down does not show.

    Args:
        fast: Cost a row of the one, a value a round.
        slow: Cost a row of the other, in the same rounds.
    """
    return Spread.of([there / here for here, there in zip(fast, slow, strict=False)])


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` (0 … 1) of the values do not exceed: the nearest rank, never an invented value."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, -int(-share * len(ordered) // 1) - 1))]


@dataclass(frozen=True)
class Line:
    """A straight line through points, by least squares.

    Attributes:
        intercept: Where it begins.
        slope: How it grows.
        worst: Largest distance of a point from it, as a share of the line's value there.
    """

    intercept: float
    slope: float
    worst: float

    @staticmethod
    def through(points: Sequence[tuple[float, float]]) -> Line:
        """Return the line of at least two points at different places."""
        mean_x = sum(x for x, _ in points) / len(points)
        mean_y = sum(y for _, y in points) / len(points)
        slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
        intercept = mean_y - slope * mean_x
        worst = max(abs(y - (intercept + slope * x)) / abs(intercept + slope * x) for x, y in points)
        return Line(intercept, slope, worst)
