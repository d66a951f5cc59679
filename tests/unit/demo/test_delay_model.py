"""The demo's model: honest about time, and the same whenever it is asked."""

import polars as pl
import pytest

from examples.flights.delay_model import FEATURES, FOLDS, PREDICTION, score
from examples.flights.timetable import read_flights


@pytest.fixture(scope="module")
def flights() -> pl.DataFrame:
    """Some flights of every month."""
    return read_flights().gather_every(40)


def test_every_flight_is_scored_cancelled_ones_too_in_the_order_given(flights: pl.DataFrame) -> None:
    scored = score(flights)
    assert scored["event_id"].equals(flights["event_id"])
    assert scored[PREDICTION].is_between(0, 1).all()


def test_scoring_again_says_the_same_so_that_a_second_replay_is_all_duplicates(flights: pl.DataFrame) -> None:
    assert score(flights)[PREDICTION].equals(score(flights)[PREDICTION])


def test_a_months_own_labels_have_no_say_in_its_scores(flights: pl.DataFrame) -> None:
    months = [month for month in range(1, 13) if month % FOLDS == 1]
    inverted = pl.when(pl.col("month").is_in(months)).then(~pl.col("late")).otherwise(pl.col("late"))
    before, after = score(flights), score(flights.with_columns(late=inverted))
    is_theirs = before["month"].is_in(months)
    assert before.filter(is_theirs)[PREDICTION].equals(after.filter(is_theirs)[PREDICTION])
    assert not before.filter(~is_theirs)[PREDICTION].equals(after.filter(~is_theirs)[PREDICTION])


def test_only_what_is_known_at_departure_is_an_input() -> None:
    assert not {"arr_delay", "arr_time", "air_time", "late", "label_time"} & FEATURES.keys()
