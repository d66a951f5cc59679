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
    roles={PREDICTION: "score", "late": "target"},
)

FOLDS = 4
THREADS = 1  # on a machine that serves as well, several wait for each other more than they work


def score(flights: pl.DataFrame) -> pl.DataFrame:
    """Return the flights with a column `late_probability`; those that never left have one, too."""
    flights = categorized(flights)
    folds = flights.group_by(pl.col("month") % FOLDS)
    return pl.concat(_scored(fold, flights) for _, fold in folds).sort("event_time", "event_id")


def categorized(flights: pl.DataFrame) -> pl.DataFrame:
    """Return the flights with the columns of categories as such, so that all parts of them are coded alike."""
    return flights.with_columns(
        pl.col([name for name, kind in FEATURES.items() if kind == "category"]).cast(pl.Categorical)
    )


def trained(flights: pl.DataFrame, rounds: int = 10) -> HistGradientBoostingClassifier:
    """Return a model that these categorized flights have taught; those of which nobody knows the truth have no say."""
    known = flights.drop_nulls("late")
    # The seed makes every run say the same, so that a second replay repeats the first.
    classifier = HistGradientBoostingClassifier(
        max_iter=rounds, learning_rate=0.3, early_stopping=False, random_state=0
    )
    with threadpool_limits(limits=THREADS):
        return classifier.fit(known.select(*FEATURES), known["late"])


def probabilities(classifier: HistGradientBoostingClassifier, flights: pl.DataFrame) -> pl.Series:
    """Return what a model says of categorized flights: of each the probability that it arrives late."""
    with threadpool_limits(limits=THREADS):
        return pl.Series(PREDICTION, classifier.predict_proba(flights.select(*FEATURES))[:, 1])


def _scored(fold: pl.DataFrame, flights: pl.DataFrame) -> pl.DataFrame:
    """Return the flights of some months, scored by what the other months teach."""
    classifier = trained(flights.join(fold, on="month", how="anti"))
    return fold.with_columns(probabilities(classifier, fold))
