"""What monitoring should say, computed by pandas from the flights themselves; nothing here has been through headrace.

In: the half years. Out: figures by name, each a pandas Series by day, feature or moment. The definitions are those of
docs/monitoring.md, written a second time.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from examples.flights.delay_model import FEATURES, PREDICTION
from examples.flights.half_years import AIRPORT, SHADOW, HalfYears

MEASURES = ("labelled", "accuracy", "precision", "recall", "f1", "auc", "log_loss", "brier")
COMPARED = ("labelled", "accuracy", "auc", "log_loss")  # of the shadow, and of the champion on the same flights
DRIFTING = ("dep_delay", "carrier")
THRESHOLD = 0.5
LEAST_SHARE = 0.0001  # PSI takes a smaller share for that
BINS_AN_OCTAVE = 16  # of the histograms, whose edges bound the cells of numbers


def rolled_up(halves: HalfYears) -> dict[str, pd.Series]:
    """Return what the roll-ups should say, by day, once all labels, revised ones too, have come."""
    flights, baseline = halves.production.to_pandas(), halves.baseline.to_pandas()
    flights["late"] = _revised(halves)["late"]
    result = {"flights": flights.groupby(_days(flights)).size()}
    measured = _performance(flights)
    result |= {name: measured[name] for name in MEASURES}
    shadow = flights.drop(columns=PREDICTION).merge(halves.shadow.select("event_id", PREDICTION).to_pandas())
    among = _performance(flights[flights["event_id"].isin(shadow["event_id"])])
    for variant, measures in ((SHADOW, _performance(shadow)), ("champion beside it", among)):
        result |= {f"{variant}: {name}": measures[name] for name in COMPARED}
    for column in DRIFTING:
        cells = pd.DataFrame(
            {day: _drift(baseline[column], values) for day, values in flights.groupby(_days(flights))[column]}
        ).T
        result |= {f"drift of {column}: {name}": cells[name] for name in ("psi", "js_distance")}
    return result


def came_late(halves: HalfYears, evening: pd.Timestamp) -> dict[str, pd.Series]:
    """Return what influences should say, what was known in the evening of a day, and the airport before and after."""
    flights, influences = halves.production.to_pandas(), halves.influences.to_pandas()
    told = {"as of before": flights, "now": _revised(halves)}
    night = evening + pd.Timedelta(days=1)
    return {
        "mean influence": influences[list(FEATURES)].abs().mean(),
        "explained": pd.Series({"flights": len(flights), "mean score": flights[PREDICTION].mean()}),
        "known in the evening": pd.Series(
            {
                "flights": (flights["event_time"] < night).sum(),
                "landed": (flights["label_time"] < night).sum(),
                "explained": (flights["event_time"] < evening).sum(),  # a day late
            }
        ),
        **{f"{AIRPORT}, {when}": _punctuality(rows[rows["dest"] == AIRPORT]) for when, rows in told.items()},
    }


def _revised(halves: HalfYears) -> pd.DataFrame:
    flights = halves.production.to_pandas().set_index("event_id")
    flights.update(halves.revision.select("event_id", "arr_delay", "late").to_pandas().set_index("event_id"))
    return flights.reset_index()


def _punctuality(flights: pd.DataFrame) -> pd.Series:
    arrived = flights.dropna(subset="late")
    is_alarm, late = arrived[PREDICTION] >= THRESHOLD, arrived["late"].astype(bool)
    return pd.Series(
        {
            "arrived": len(arrived),
            "late": late.mean(),
            "minutes": arrived["arr_delay"].astype(float).mean(),
            "accuracy": (is_alarm == late).mean(),
        }
    )


def _days(flights: pd.DataFrame) -> pd.Series:
    days: pd.Series = flights["event_time"].dt.strftime("%F")
    return days


def _performance(flights: pd.DataFrame) -> pd.DataFrame:
    """Return the measures of each day's scores whose truth is known."""
    known = flights.dropna(subset="late").assign(late=lambda rows: rows["late"].astype(bool))
    return pd.DataFrame({day: _measures(rows) for day, rows in known.groupby(_days(known))}).T


def _measures(flights: pd.DataFrame) -> pd.Series:
    late, score = flights["late"], flights[PREDICTION]
    is_alarm = score >= THRESHOLD
    hits, alarms, positives, rows = (late & is_alarm).sum(), is_alarm.sum(), late.sum(), len(late)
    counted = alarms + positives > 0  # else there is nothing of the positive class to speak of
    pairs = positives * (rows - positives)
    likely = score.where(late, 1 - score)
    return pd.Series(
        {
            "labelled": rows,
            "accuracy": (is_alarm == late).mean(),
            "precision": hits / alarms if alarms else 0.0 if counted else np.nan,
            "recall": hits / positives if positives else 0.0 if counted else np.nan,
            "f1": 2 * hits / (alarms + positives) if counted else np.nan,
            # Mann and Whitney: of all pairs of a late and a punctual flight the share that the score puts right.
            "auc": (score.rank()[late].sum() - positives * (positives + 1) / 2) / pairs if pairs else np.nan,
            "log_loss": -np.log(likely).mean(),
            "brier": ((score - late) ** 2).mean(),
        }
    )


def _drift(baseline: pd.Series, day: pd.Series) -> dict[str, float]:
    """Return how far a day's values are from the baseline's."""
    cell = _tenths(baseline) if pd.api.types.is_numeric_dtype(baseline) else _categories(baseline)
    p, q = (cell(values).value_counts(normalize=True) for values in (baseline, day))
    p, q = p.align(q, fill_value=0.0)
    middle = (p + q) / 2
    bits = sum((share[share > 0] * np.log2(share[share > 0] / middle[share > 0])).sum() for share in (p, q))
    p, q = p.clip(lower=LEAST_SHARE), q.clip(lower=LEAST_SHARE)
    return {"psi": ((q - p) * np.log(q / p)).sum(), "js_distance": np.sqrt(max(0.0, bits / 2))}


def _tenths(baseline: pd.Series) -> Callable[[pd.Series], pd.Series]:
    """Return what tells the cell of numbers: a tenth of the baseline each, bounded by bins of the histogram."""
    counts = _bins(baseline.dropna()).value_counts().sort_index()
    tenth = 10 * (counts.cumsum() - counts) // counts.sum()
    starts = counts.index.to_series().groupby(tenth).min()

    def cells(values: pd.Series) -> pd.Series:
        places = np.searchsorted(starts, _bins(values.fillna(0)), side="right").clip(1)
        return pd.Series(places, values.index).mask(values.isna(), -1)

    return cells


def _bins(values: pd.Series) -> pd.Series:
    """Return the numbers of the histogram's bins, counted outwards from zero; for whole numbers."""
    octaves = np.log2(values.abs().clip(lower=1)) + 1
    bins: pd.Series = np.sign(values) * np.floor(octaves * BINS_AN_OCTAVE + 1e-9)
    return bins


def _categories(baseline: pd.Series) -> Callable[[pd.Series], pd.Series]:
    """Return what tells the cell of categories: those of the baseline, the others together, none at all."""
    known = baseline.dropna().unique()

    def cells(values: pd.Series) -> pd.Series:
        plain = values.astype(object)
        named: pd.Series = plain.where(plain.isin(known) | plain.isna(), "others").fillna("missing")
        return named

    return cells
