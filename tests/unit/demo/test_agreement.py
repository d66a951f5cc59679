"""Whether two figures agree: the same things, the same values, and what may be apart."""

import pandas as pd
import pytest

from examples.flights.agreement import Figure


def series(**values: float) -> pd.Series:
    return pd.Series(values, dtype=float)


@pytest.mark.parametrize(
    ("headrace", "allowed", "agrees"),
    [
        (series(june=0.5, july=0.25), 0.0, True),
        (series(july=0.25, june=0.5), 0.0, True),
        (series(june=0.5 + 1e-12, july=0.25), 0.0, True),
        (series(june=0.5001, july=0.25), 0.0, False),
        (series(june=0.5001, july=0.25), 0.001, True),
        (series(june=0.5001, july=0.25), series(june=0.001, july=0.0), True),
        (series(june=0.5001, july=0.25), series(june=0.0, july=0.001), False),
        (series(june=0.5), 0.0, False),
        (series(june=0.5, july=0.25, august=0.1), 0.0, False),
        (series(june=0.5, july=float("nan")), 0.0, False),
        (series(), 0.0, False),
    ],
)
def test_figures_agree_when_each_value_does(headrace: pd.Series, allowed: pd.Series | float, agrees: bool) -> None:
    assert Figure("accuracy", headrace, series(june=0.5, july=0.25), allowed).agrees is agrees


def test_what_cannot_be_measured_is_missing_on_both_sides() -> None:
    assert Figure("auc", series(june=float("nan")), series(june=float("nan"))).agrees


def test_a_figure_can_be_shown_value_by_value() -> None:
    both = Figure("late", series(a=0.5, b=0.2), series(a=0.5, b=0.25))
    assert [(one.name, one.agrees) for one in both.one_by_one()] == [("late: a", True), ("late: b", False)]
