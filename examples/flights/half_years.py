"""The two halves of the year: the first is what a model was trained on, the second what it met in production.

In: the year's flights. Out: the baseline and the production flights, scored by a model that knows the first half only,
and what comes later about the production flights: influences, a shadow model's scores, a revision of labels.
"""

from dataclasses import dataclass
from datetime import timedelta

import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier

from examples.flights import delay_model
from examples.flights.delay_model import FEATURES
from examples.flights.timetable import LATE_AFTER_MINUTES

SHADOW, SHADOW_ROUNDS = "shadow-2", 40  # the other model learns longer
EVERY = 10  # one flight in so many is scored by the shadow, too

AIRPORT = "ORD"  # its clock was fast, as it turned out
FAST_MINUTES = 5
REVISED_BY = "clock review"


@dataclass(frozen=True)
class HalfYears:
    """The flights of both halves, and what comes late.

    Attributes:
        baseline: The first half, with scores.
        production: The second half, with scores and the UTC day of its departure.
        influences: How much each feature moved each score of the second half.
        shadow: Scores of the shadow model, of a tenth of the second half.
        revision: Arrivals at one airport once more, as they really were.
    """

    baseline: pl.DataFrame
    production: pl.DataFrame
    influences: pl.DataFrame
    shadow: pl.DataFrame
    revision: pl.DataFrame


def half_years(year: pl.DataFrame, days: int | None = None) -> HalfYears:
    """Return both halves, or only so many days before and after the first of July."""
    year = delay_model.categorized(year).with_columns(day=pl.col("event_time").dt.truncate("1d"))
    is_first = pl.col("month") <= 6
    baseline, production = year.filter(is_first), year.filter(~is_first)
    if days is not None:
        span = timedelta(days=days)
        baseline = baseline.filter(pl.col("day") > baseline["day"][-1] - span)
        production = production.filter(pl.col("day") < production["day"][0] + span)
    classifier = delay_model.trained(baseline)
    baseline, production = (
        half.with_columns(delay_model.probabilities(classifier, half)) for half in (baseline, production)
    )
    return HalfYears(
        baseline,
        production,
        _influences(classifier, production, _typical(baseline)),
        _shadow(delay_model.trained(baseline, SHADOW_ROUNDS), production),
        _revision(production),
    )


def _typical(baseline: pl.DataFrame) -> dict[str, pl.Expr]:
    """Return of each feature the value that is usual in the baseline."""
    return {
        name: pl.lit(baseline[name].drop_nulls().mode().sort()[0]).cast(baseline.schema[name]).alias(name)
        if kind == "category"
        else pl.lit(baseline[name].median()).cast(baseline.schema[name]).alias(name)
        for name, kind in FEATURES.items()
    }


def _influences(
    classifier: HistGradientBoostingClassifier, flights: pl.DataFrame, typical: dict[str, pl.Expr]
) -> pl.DataFrame:
    """Return what each feature adds to the score on the way from the typical flight to this one.

    The features take their values one after the other; like SHAP's, the influences of a flight and the base value add
    up to its score. (SHAP would take the mean over all orders of the features.)
    """
    seen = flights.with_columns(typical.values())
    before = base = delay_model.probabilities(classifier, seen)
    result = flights.select("event_id", "event_time", "day").with_columns(base_value=base)
    for name in FEATURES:
        seen = seen.with_columns(flights[name])
        after = delay_model.probabilities(classifier, seen)
        result = result.with_columns((after - before).alias(name))
        before = after
    return result


def _shadow(classifier: HistGradientBoostingClassifier, production: pl.DataFrame) -> pl.DataFrame:
    chosen = production.gather_every(EVERY)
    scores = delay_model.probabilities(classifier, chosen)
    return chosen.select("event_id", "event_time", "day", variant=pl.lit(SHADOW)).with_columns(scores)


def _revision(production: pl.DataFrame) -> pl.DataFrame:
    arrived = production.filter(pl.col("dest") == AIRPORT).drop_nulls("arr_delay")
    return arrived.select(
        "event_id",
        "event_time",
        "label_time",
        source=pl.lit(REVISED_BY),
        arr_delay=pl.col("arr_delay") - FAST_MINUTES,
    ).with_columns(late=pl.col("arr_delay") > LATE_AFTER_MINUTES)
