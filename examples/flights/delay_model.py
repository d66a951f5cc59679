"""The model that is replayed: will a flight that is about to leave arrive more than 15 minutes late?

In: flights. Out: the columns that headrace is told, and each flight's `late_probability`, by a gradient boosting
classifier that was trained on other months, and sees of the flight itself only what is known when it leaves.
"""

import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

import headrace

NAME, VERSION = "flight_delay", "v1"

FEATURES = {
    "carrier": "category",
    "origin": "category",
    "dest": "category",
    "distance": "int64",
    "month": "int64",
    "weekday": "int64",
    "hour": "int64",
    "dep_delay": "int64",
}
EXTRAS = {
    "flight": "int64",
    "tailnum": "string",
    "dep_time": "int64",
    "sched_dep_time": "int64",
    "sched_arr_time": "int64",
}
PREDICTION = "late_probability"
LABELS = {"arr_delay": "int64", "late": "bool"}

SCHEMA = headrace.Schema(
    features=FEATURES,
    predictions={PREDICTION: "float64"},
    labels=LABELS,
    extras=EXTRAS,
    task="binary_classification",
)

FOLDS = 4


def score(flights: pl.DataFrame) -> pl.DataFrame:
    """Return the flights with a column `late_probability`; those that never left have one, too."""
    categories = [name for name, kind in FEATURES.items() if kind == "category"]
    flights = flights.with_columns(pl.col(categories).cast(pl.Categorical))
    folds = flights.group_by(pl.col("month") % FOLDS)
    return pl.concat(_scored(fold, flights) for _, fold in folds).sort("event_time", "event_id")


def _scored(fold: pl.DataFrame, flights: pl.DataFrame) -> pl.DataFrame:
    """Return the flights of some months, scored by what the other months teach."""
    others = flights.join(fold, on="month", how="anti").drop_nulls("late")
    # The seed makes every run say the same, so that a second replay repeats the first.
    classifier = HistGradientBoostingClassifier(max_iter=10, learning_rate=0.3, early_stopping=False, random_state=0)
    # One thread: on a machine that serves as well, several wait for each other more than they work.
    with threadpool_limits(limits=1):
        classifier.fit(others.select(*FEATURES), others["late"])
        probability = classifier.predict_proba(fold.select(*FEATURES))[:, 1]
    return fold.with_columns(pl.Series(PREDICTION, probability))
