"""Hours that rows lie in, as days and bits."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headrace_server.copying.touched import HourNote, TouchedHours, as_columns

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMES = st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


def micros(*times: datetime) -> np.ndarray:
    return np.array([(time - EPOCH) // timedelta(microseconds=1) for time in times], dtype=np.int64)


def test_hours_of_a_day_are_bits() -> None:
    day = datetime(2013, 1, 1, tzinfo=UTC)
    last = day + timedelta(hours=23, minutes=59, seconds=59, microseconds=999_999)
    touched = TouchedHours.of(micros(day, last, day + timedelta(hours=1), day + timedelta(days=1)))
    assert touched == TouchedHours([date(2013, 1, 1), date(2013, 1, 2)], [1 | 1 << 1 | 1 << 23, 1])


def test_no_rows_touch_nothing() -> None:
    assert TouchedHours.of(micros()) == TouchedHours([], [])


def test_notes_of_several_models_are_written_as_one_row_a_day() -> None:
    day = datetime(2013, 1, 1, tzinfo=UTC)
    one = HourNote("main", "flights", "EVENTS", TouchedHours.of(micros(day, day + timedelta(days=1))))
    other = HourNote("main", "trains", "LABELS", TouchedHours.of(micros(day)))
    none = HourNote("main", "ships", "EVENTS", TouchedHours.of(micros()))
    assert list(zip(*as_columns([one, none, other]), strict=True)) == [
        ("main", "flights", "EVENTS", date(2013, 1, 1), 1),
        ("main", "flights", "EVENTS", date(2013, 1, 2), 1),
        ("main", "trains", "LABELS", date(2013, 1, 1), 1),
    ]
    assert as_columns([none]) == ([], [], [], [], [])


@given(st.lists(TIMES, min_size=1, max_size=50))
def test_every_time_is_in_its_hour_and_there_are_no_others(times: list[datetime]) -> None:
    touched = TouchedHours.of(micros(*times))
    hours = {
        (day, hour)
        for day, bits in zip(touched.days, touched.hours, strict=True)
        for hour in range(24)
        if bits >> hour & 1
    }
    assert hours == {(time.date(), time.hour) for time in times}
    assert touched.days == sorted(set(touched.days))
