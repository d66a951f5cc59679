"""Any time a user may give means one microsecond."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.times import as_datetime, unix_micros

DAY = 86_400_000_000


@pytest.mark.parametrize(
    ("value", "micros"),
    [
        (datetime(1970, 1, 2, tzinfo=UTC), DAY),
        (datetime(1970, 1, 2), DAY),  # noqa: DTZ001 -- naive is UTC
        (datetime(1970, 1, 2, 1, tzinfo=timezone(timedelta(hours=1))), DAY),
        (date(1970, 1, 2), DAY),
        (86_400, DAY),
        (0.000001, 1),
        (-1.5, -1_500_000),
        ("1970-01-02T00:00:00Z", DAY),
        ("1970-01-02", DAY),
        (pd.Timestamp("1970-01-02"), DAY),
        (np.datetime64("1970-01-02"), DAY),
        (np.float64(86_400), DAY),
        (np.int64(86_400), DAY),
    ],
)
def test_times_are_microseconds_since_1970(value: object, micros: int) -> None:
    assert unix_micros(value) == micros


@pytest.mark.parametrize("value", [True, None, [], float("nan"), float("inf"), "yesterday", object()])
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        unix_micros(value)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_datetime_comes_back(value: datetime) -> None:
    assert as_datetime(value) == value
