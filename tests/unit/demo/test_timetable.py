"""The year's flights: read whole, told apart, and put in the order in which they leave and land."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from examples.flights.timetable import landed, moments, read_flights, spans


@pytest.fixture(scope="module")
def year() -> pl.DataFrame:
    return read_flights()


def test_every_flight_of_the_year_is_there_in_departure_order(year: pl.DataFrame) -> None:
    assert len(year) == 336_776
    assert year["event_time"].is_sorted()
    assert year["event_time"].null_count() == 0


def test_an_event_id_names_one_flight(year: pl.DataFrame) -> None:
    assert year["event_id"].n_unique() == len(year)
    assert len(year.filter(pl.col("event_id") == "UA1545-EWR-2013-01-01T10:00:00Z")) == 1


def test_event_time_is_the_scheduled_departure_to_the_minute(year: pl.DataFrame) -> None:
    flight = year.row(by_predicate=pl.col("event_id") == "UA1545-EWR-2013-01-01T10:00:00Z", named=True)
    assert flight["event_time"] == datetime(2013, 1, 1, 10, 15, tzinfo=UTC)
    assert flight["label_time"] == flight["event_time"] + timedelta(minutes=2 + 227)
    local = year["event_time"].dt.convert_time_zone("America/New_York")
    assert (local.dt.hour().cast(pl.Int64) * 100 + local.dt.minute() == year["sched_dep_time"]).all()


def test_flights_without_a_known_arrival_have_no_label(year: pl.DataFrame) -> None:
    unlabelled = year.filter(pl.col("arr_delay").is_null())
    assert len(unlabelled) == 9_430
    assert unlabelled["late"].null_count() == unlabelled["label_time"].null_count() == 9_430
    assert len(landed(year)) == 327_346


def test_late_means_more_than_fifteen_minutes(year: pl.DataFrame) -> None:
    lateness = landed(year).group_by("arr_delay").agg(pl.col("late").unique())
    late = {row["arr_delay"]: row["late"] for row in lateness.iter_rows(named=True)}
    assert (late[15], late[16]) == ([False], [True])


def test_missing_values_stay_missing(year: pl.DataFrame) -> None:
    nulls = year.null_count().row(0, named=True)
    assert (nulls["dep_delay"], nulls["dep_time"], nulls["tailnum"]) == (8_255, 8_255, 2_512)


def test_departures_and_landings_are_told_in_the_order_of_time(year: pl.DataFrame) -> None:
    told = list(moments(year.head(2_000)))
    assert [moment[0] for moment in told] == sorted(moment[0] for moment in told)
    kinds = [kind for _, kind, _ in told]
    assert (kinds.count("departure"), kinds.count("landing")) == (2_000, len(landed(year.head(2_000))))
    assert kinds.index("landing") < 100  # planes land while others leave


def test_no_flight_lands_before_it_has_left(year: pl.DataFrame) -> None:
    gone: set[str] = set()
    for _, kind, flight in moments(year.head(5_000)):
        if kind == "departure":
            gone.add(flight["event_id"])
        else:
            assert flight["event_id"] in gone


@pytest.mark.parametrize("departures", [1_000, 3_000, 3_001])
def test_spans_hold_every_departure_and_every_landing_once(year: pl.DataFrame, departures: int) -> None:
    flights = year.head(3_000)
    left, arrived = zip(*spans(flights, departures), strict=True)
    assert pl.concat(left).equals(flights)
    assert pl.concat(arrived).equals(landed(flights))


def test_whatever_lands_in_a_span_has_left_in_one_before(year: pl.DataFrame) -> None:
    gone: set[str] = set()
    for departures, landings in spans(year.head(3_000), 500):
        assert set(landings["event_id"]) <= gone
        gone |= set(departures["event_id"])
