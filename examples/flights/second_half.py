"""The replay of the second half, day by day: departures, landings, and a day late what moved the scores.

In: the half years and the handle of their model. Out: a baseline dataset, events, labels, influences; after all of them
the shadow's scores and the revised labels. A second replay repeats the first and adds nothing.
"""

from collections.abc import Iterator
from datetime import datetime

import polars as pl

import headrace
from examples.flights.delay_model import LABELS, PREDICTION
from examples.flights.half_years import HalfYears
from examples.flights.replay import AWAY_S, EVENT_COLUMNS, LABEL_COLUMNS
from examples.flights.timetable import landed

BASELINE = "first-half-2013"


def publish_baseline(model: headrace.Model, baseline: pl.DataFrame) -> None:
    """Publish the first half as a dataset and name it the model's baseline.

    Raises:
        JobFailedError: It did not become one.
        ServiceError: The service refuses.
    """
    try:
        rows = baseline.select(EVENT_COLUMNS + list(LABELS))
        model.publish_dataset(rows, name=BASELINE, expected_rows=len(baseline)).wait(AWAY_S)
    except headrace.ServiceError as error:
        if error.reason != "DATASET_EXISTS":  # of an earlier run: a dataset never changes
            raise
    model.set_baseline(BASELINE)


def publish_days(model: headrace.Model, halves: HalfYears) -> Iterator[headrace.PublishResult]:
    """Publish each day's departures, what landed on it, and the influences of the day before; yield the verdicts."""
    departures = _by_day(halves.production)
    landings = _by_day(landed(halves.production).with_columns(day=pl.col("label_time").dt.truncate("1d")))
    influences = _by_day(halves.influences.with_columns(pl.col("day").dt.offset_by("1d")))
    for day in sorted(departures.keys() | landings.keys() | influences.keys()):
        if day in departures:
            yield model.publish(departures[day].select(EVENT_COLUMNS), timeout=AWAY_S)
        if day in landings:
            yield model.publish(landings[day].select(LABEL_COLUMNS), update=True, timeout=AWAY_S)
        if day in influences:
            yield model.publish(influences[day].drop("day"), kind="influences", timeout=AWAY_S)


def publish_shadow(model: headrace.Model, halves: HalfYears) -> headrace.PublishResult:
    """Attach the scores of the shadow model to the flights that it saw."""
    columns = ["event_id", "event_time", "variant", PREDICTION]
    return model.publish(halves.shadow.select(columns), kind="variants", timeout=AWAY_S)


def publish_revision(model: headrace.Model, halves: HalfYears) -> headrace.PublishResult:
    """Say anew how late the flights to one airport were."""
    return model.publish(halves.revision, update=True, timeout=AWAY_S)


def _by_day(rows: pl.DataFrame) -> dict[datetime, pl.DataFrame]:
    return {part["day"][0]: part for part in rows.partition_by("day")}
