"""Whether headrace and pandas agree: a figure is a series of values from each, by day, by feature or by name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pandas as pd
from rich import box
from rich.table import Table

ROUNDING = 1e-9  # the two add up in different orders


@dataclass(frozen=True)
class Figure:
    """The same values from both.

    Attributes:
        name: What they are.
        headrace: As headrace has them.
        pandas: As pandas computes them.
        allowed: By how much they may differ beside rounding.
    """

    name: str
    headrace: pd.Series
    pandas: pd.Series
    allowed: pd.Series | float = 0.0

    def one_by_one(self) -> Iterator["Figure"]:
        """Yield a figure for each of its values."""
        for key in self.pandas.index:
            yield replace(
                self,
                name=f"{self.name}: {key}",
                headrace=self.headrace[self.headrace.index == key],
                pandas=self.pandas[[key]],
            )

    @property
    def furthest(self) -> float:
        """The greatest difference of two values; NaN where there is nothing to compare."""
        return float((self.headrace - self.pandas).abs().max())

    @property
    def agrees(self) -> bool:
        """Whether each has the same values, or none, for the same things."""
        headrace, pandas = self.headrace.astype(float), self.pandas.astype(float)
        if set(headrace.index) != set(pandas.index) or headrace.index.has_duplicates:
            return False
        headrace = headrace.reindex(pandas.index)
        apart, least = (headrace - pandas).abs(), ROUNDING * pandas.abs().clip(lower=1)
        is_near = apart.le(least.add(self.allowed))
        return bool((is_near | headrace.isna() & pandas.isna()).all())


def table(figures: Sequence[Figure]) -> Table:
    """Return all figures; of those by day the mean, and by how much the two are apart on the day they differ most."""
    result = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    result.add_column("figure", no_wrap=True)
    for heading in ("days", "headrace", "pandas", "apart"):
        result.add_column(heading, justify="right")
    result.add_column("agree")
    for figure in figures:
        result.add_row(
            figure.name,
            f"{len(figure.pandas)}" if len(figure.pandas) > 1 else "",
            _shown(figure.headrace.mean()),
            _shown(figure.pandas.mean()),
            f"{figure.furthest:.1e}",
            "yes" if figure.agrees else "[bold red]no",
        )
    return result


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:,.4f}"
