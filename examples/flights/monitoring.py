"""What a model's watchers see: half a year in production, measured against the half before it.

January to June is the baseline dataset, July to December production. Labels come when flights land, influences a day
after their flights, a shadow model's scores afterwards for a tenth of them; then the labels of one airport are revised.
Every figure that the service shows is compared with what pandas computes of the same rows (by_pandas.py).

Usage: make demo-monitoring, or python -m examples.flights.monitoring --help
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from rich.console import Console
from rich.table import Table

import headrace
from examples.flights import by_pandas, delay_model
from examples.flights.replay import EVENT_COLUMNS, LABEL_COLUMNS
from examples.flights.timetable import landed, read_flights

BASELINE, SHADOW = "first-half-2013", "shadow-2"
SCHEMA = headrace.Schema(
    features=delay_model.FEATURES,
    predictions={delay_model.PREDICTION: "float64"},
    labels=delay_model.LABELS,
    extras=delay_model.EXTRAS,
    task="binary_classification",
    roles={delay_model.PREDICTION: "score", "late": "target"},
)
MIDYEAR = datetime(2013, 7, 1, tzinfo=UTC)
REVISED_AIRPORT, TAXIED_MINUTES = "BOS", 10
WATCHED = ("dep_delay", "carrier")
FRESH_S = 900.0  # how long roll-ups may take to follow

Row = dict[str, Any]
console = Console()


def main() -> int:
    """Run it; return the exit code, 0 when every figure is what pandas says."""
    parser = argparse.ArgumentParser(prog="make demo-monitoring", description="A model's monitoring, checked.")
    parser.add_argument("--address", default="localhost:50051", help="of the service (default: %(default)s)")
    parser.add_argument("--days", type=int, default=184, help="of each half, next to July (default: all)")
    given = parser.parse_args()
    flights = delay_model.score(read_flights())
    span = timedelta(days=given.days)
    baseline = flights.filter(pl.col("event_time").is_between(MIDYEAR - span, MIDYEAR, closed="left"))
    production = flights.filter(pl.col("event_time").is_between(MIDYEAR, MIDYEAR + span, closed="left"))
    with headrace.connect(given.address) as client:
        # Labels are revised at the end, so each run has a model of its own.
        name = f"flight_watch_{datetime.now(UTC):%Y%m%d_%H%M%S}"
        model = client.register(SCHEMA, name=name, version=delay_model.VERSION)
        faults = list(watched(model, baseline, production))
    for fault in faults:
        console.print(fault, style="red", markup=False)
    console.print(f"{len(faults)} figures differ from pandas'")
    return 1 if faults else 0


def watched(model: headrace.Model, baseline: pl.DataFrame, production: pl.DataFrame) -> Iterator[str]:
    """Send everything in the order of a year, and yield what the service shows otherwise than pandas."""
    name_baseline(model, baseline)
    model.publish(production.select(EVENT_COLUMNS))
    labels = landed(production)
    model.publish(labels.select(LABEL_COLUMNS), update=True)
    attach_influences(model, production)
    shadows = attach_shadow(model, production)

    frame = labels.rename({delay_model.PREDICTION: "score"}).to_pandas()
    yield from check_performance(model, frame, shadows.to_pandas())
    yield from check_drift(model, baseline.to_pandas(), production.to_pandas())
    yield from check_revision(model, frame)


def name_baseline(model: headrace.Model, baseline: pl.DataFrame) -> None:
    """Publish the dataset, and have drift measured against it."""
    model.publish_dataset(baseline.select(EVENT_COLUMNS), name=BASELINE, expected_rows=len(baseline)).wait()
    model.set_baseline(BASELINE)
    console.print(f"{len(baseline):,} flights are the baseline {BASELINE!r}")


def attach_influences(model: headrace.Model, production: pl.DataFrame) -> None:
    """Say of each flight of the first day, a day later, what moved its score: distances from the mean, scaled."""
    day = production.filter(pl.col("event_time") < production["event_time"][0] + timedelta(days=1))
    scale = {"dep_delay": 0.01, "hour": 0.005, "distance": -0.00001}
    shares = [
        ((pl.col(name) - pl.col(name).mean()) * factor).fill_null(0.0).alias(name) for name, factor in scale.items()
    ]
    model.publish(day.select("event_id", "event_time", *shares), kind="influences")
    console.print(f"{len(day):,} flights have influences, a day late")


def attach_shadow(model: headrace.Model, production: pl.DataFrame) -> pl.DataFrame:
    """Attach the scores of a simpler model to every tenth flight; returns them by the flights' ids."""
    tenth = production.gather_every(10).select(
        "event_id",
        "event_time",
        variant=pl.lit(SHADOW),
        late_probability=1 / (1 + (1 - pl.col("dep_delay") / 15).exp()),
    )
    tenth = tenth.with_columns(pl.col("late_probability").fill_null(0.5))
    model.publish(tenth, kind="variants")
    console.print(f"{len(tenth):,} flights have a score of {SHADOW!r}, too")
    return tenth


def check_performance(model: headrace.Model, labels: pd.DataFrame, shadows: pd.DataFrame) -> Iterator[str]:
    """Compare the performance of each day, of all flights and of champion and shadow on the same tenth."""
    scored = labels.merge(shadows[["event_id", "late_probability"]], on="event_id")
    wanted = len(labels) + 2 * len(scored)
    rows = fresh(model.performance, lambda rows: sum(row["labelled"] for row in rows) == wanted)
    show("performance by day", [row for row in rows if not row["among"]], "accuracy", "recall", "auc", "log_loss")
    groups = {
        (False, ""): labels,
        (False, SHADOW): scored,
        (True, SHADOW): scored.assign(score=scored.late_probability),
    }
    for row in rows:
        of_group = groups[row["is_shadow"], row["among"]]
        expected = by_pandas.performance(of_group[of_group.event_time.dt.floor("D") == row["bucket"]])
        tolerances = {"auc": (row["auc_error"] or 0.0) + 1e-9}
        yield from differences(f"{row['bucket']:%F} {row['among']}", row, expected, tolerances)


def check_drift(model: headrace.Model, baseline: pd.DataFrame, production: pd.DataFrame) -> Iterator[str]:
    """Compare the drift of the watched columns on each day."""
    days = production.groupby(production.event_time.dt.floor("D"))
    rows = fresh(model.drift, lambda rows: {row["bucket"] for row in rows} >= set(days.groups))
    rows = [row for row in rows if row["column_name"] in WATCHED]
    for column in WATCHED:
        show(f"drift of {column}", [row for row in rows if row["column_name"] == column], "psi", "js_distance")
    for row in rows:
        column = str(row["column_name"])
        day: pd.Series[Any] = days.get_group(row["bucket"])[column]
        expected = by_pandas.drift(baseline[column], day)
        yield from differences(f"{row['bucket']:%F} {column}", row, expected, {})


def check_revision(model: headrace.Model, labels: pd.DataFrame) -> Iterator[str]:
    """Revise one airport's labels, and read them as they are and as they were known before."""
    before = datetime.now(UTC)
    airport = labels[labels.dest == REVISED_AIRPORT]
    revised = airport.assign(arr_delay=airport.arr_delay - TAXIED_MINUTES, source="audit")
    revised = revised.assign(late=revised.arr_delay > 15)
    model.publish(revised[["event_id", "event_time", "source", "arr_delay", "late"]], update=True)
    bounds = (labels.event_time.min().to_pydatetime(), labels.event_time.max().to_pydatetime() + timedelta(days=1))
    columns = ["dest", "late"]
    for moment, truth in ((None, revised), (before, airport)):
        read = model.events(*bounds, has_label=True, as_of=moment, columns=columns).to_pandas()
        ours = int(read[read.dest == REVISED_AIRPORT].late.sum())
        when = "now" if moment is None else "as known before"
        console.print(f"late to {REVISED_AIRPORT} {when}: {ours:,} of {len(airport):,}")
        if ours != int(truth.late.sum()):
            yield f"late to {REVISED_AIRPORT} {when}: {ours}, and pandas says {int(truth.late.sum())}"


def fresh(read: Callable[[], list[Row]], is_fresh: Callable[[list[Row]], bool]) -> list[Row]:
    """Read until the roll-ups have followed the rows, or the time is over."""
    deadline = time.monotonic() + FRESH_S
    while not is_fresh(rows := read()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return rows


def differences(what: str, ours: Row, theirs: dict[str, float], tolerances: dict[str, float]) -> Iterator[str]:
    """Yield each measure that is further from pandas' than it may be."""
    for name, expected in theirs.items():
        shown = float("nan") if ours[name] is None else float(ours[name])
        if not np.isclose(shown, expected, rtol=0, atol=tolerances.get(name, 1e-9), equal_nan=True):
            yield f"{what}: {name} {shown}, and pandas says {expected}"


def show(title: str, rows: Iterable[Row], *measures: str) -> None:
    """Print a week of rows."""
    table = Table(title=title)
    for name in ("day", *measures):
        table.add_column(name, justify="right")
    for row in list(rows)[:7]:
        table.add_row(f"{row['bucket']:%F}", *("" if row[name] is None else f"{row[name]:.4f}" for name in measures))
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
