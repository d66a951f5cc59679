"""Runs of hours: what is read of a day that was touched in places."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from headrace_server.rollups.span import ALL_HOURS, Span, next_hours, runs_of_hours

DAY = date(2013, 1, 1)
MIDNIGHT = datetime(2013, 1, 1, tzinfo=UTC)


def test_a_whole_day_is_one_run() -> None:
    assert list(runs_of_hours(DAY, ALL_HOURS)) == [Span.of_day(DAY)]


def test_no_hour_is_no_run() -> None:
    assert list(runs_of_hours(DAY, 0)) == []


@given(st.integers(0, ALL_HOURS))
def test_runs_hold_the_hours_and_nothing_between_them(hours: int) -> None:
    runs = list(runs_of_hours(DAY, hours))
    held = [hour for hour in range(24) for run in runs if run.start <= MIDNIGHT + timedelta(hours=hour) < run.end]
    assert held == [hour for hour in range(24) if hours >> hour & 1]
    assert all(one.end < other.start for one, other in pairwise(runs))


def test_hours_come_in_their_order_and_around_the_day() -> None:
    hours = 1 << 3 | 1 << 4 | 1 << 9
    assert next_hours(hours, -1, 1) == 1 << 3
    assert next_hours(hours, 3, 1) == 1 << 4
    assert next_hours(hours, 3, 5) == 1 << 4 | 1 << 9
    assert next_hours(hours, 9, 2) == 1 << 3 | 1 << 4
    assert next_hours(ALL_HOURS, -1, 24) == ALL_HOURS
    assert next_hours(0, 5, 3) == 0
