"""The two halves of the year, and what comes late about the second."""

import polars as pl
import pytest

from examples.flights.delay_model import FEATURES, PREDICTION
from examples.flights.half_years import AIRPORT, FAST_MINUTES, HalfYears, half_years
from examples.flights.timetable import read_flights


@pytest.fixture(scope="module")
def halves() -> HalfYears:
    return half_years(read_flights(), days=3)


def test_the_halves_meet_at_the_first_of_july(halves: HalfYears) -> None:
    assert halves.baseline["event_time"].max() < halves.production["event_time"].min()
    assert set(halves.baseline["month"]) == {6}
    assert set(halves.production["month"]) == {7}


def test_influences_and_base_value_add_up_to_the_score(halves: HalfYears) -> None:
    added = halves.influences.select("event_id", total=pl.sum_horizontal("base_value", *FEATURES))
    both = halves.production.join(added, on="event_id")
    assert len(both) == len(halves.production)
    assert (both["total"] - both[PREDICTION]).abs().max() < 1e-12


def test_the_shadow_says_something_else_of_a_tenth(halves: HalfYears) -> None:
    both = halves.shadow.join(halves.production, on="event_id", suffix="_served")
    assert len(both) == -(-len(halves.production) // 10)
    assert (both[PREDICTION] != both[f"{PREDICTION}_served"]).mean() > 0.9


def test_the_revision_is_of_one_airport_and_changes_some_answers(halves: HalfYears) -> None:
    both = halves.revision.join(halves.production, on="event_id", suffix="_told")
    assert set(both["dest"]) == {AIRPORT}
    assert ((both["arr_delay_told"] - both["arr_delay"]) == FAST_MINUTES).all()
    assert both["late"].sum() < both["late_told"].sum()


def test_the_same_halves_come_out_again(halves: HalfYears) -> None:
    again = half_years(read_flights(), days=3)
    assert again.production.equals(halves.production)
    assert again.influences.equals(halves.influences)
    assert again.shadow.equals(halves.shadow)
