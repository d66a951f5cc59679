"""The figures of the monitoring demo, computed by pandas, numpy and scikit-learn from the rows that were sent.

Nothing here asks the service: it is what its views and RPCs are compared with.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn import metrics

Counts = npt.NDArray[np.float64]

BINS_AN_OCTAVE = 16
LEAST_SHARE = 0.0001


def performance(rows: pd.DataFrame) -> dict[str, float]:
    """Measures of predictions `score` whose truth `late` is known."""
    truth, said = rows.late.astype(bool), rows.score >= 0.5
    both = truth.nunique() == 2
    return {
        "labelled": float(len(rows)),
        "accuracy": float((truth == said).mean()),
        "precision": float(metrics.precision_score(truth, said, zero_division=0)),
        "recall": float(metrics.recall_score(truth, said, zero_division=0)),
        "log_loss": float(metrics.log_loss(truth, rows.score, labels=[False, True])),
        "auc": float(metrics.roc_auc_score(truth, rows.score)) if both else float("nan"),
    }


def drift(baseline: "pd.Series[Any]", day: "pd.Series[Any]") -> dict[str, float]:
    """PSI and Jensen-Shannon distance of a column's values of one day."""
    cells = _tenths if pd.api.types.is_numeric_dtype(baseline) else _categories
    p, q = (counts / counts.sum() for counts in cells(baseline, day))
    m = (p + q) / 2
    divergence = sum((share[share > 0] * np.log2(share[share > 0] / m[share > 0])).sum() for share in (p, q)) / 2
    p, q = p.clip(LEAST_SHARE), q.clip(LEAST_SHARE)
    return {"psi": float(((q - p) * np.log(q / p)).sum()), "js_distance": float(np.sqrt(max(0.0, divergence)))}


def _tenths(baseline: "pd.Series[Any]", day: "pd.Series[Any]") -> tuple[Counts, Counts]:
    """Counts in cells of a tenth of the baseline, bounded by edges of the service's bins; last what is missing."""
    bins, others = _bins(baseline.dropna()), _bins(day.dropna())
    counts = bins.value_counts().sort_index()
    before = (counts.cumsum() - counts).to_numpy()
    starts = counts.index.to_series().groupby(np.floor(10 * before / len(bins))).min().to_numpy()
    edges = np.concatenate(([-np.inf], starts[1:], [np.inf]))
    expected, observed = (np.histogram(own, edges)[0] for own in (bins, others))
    return np.append(expected, baseline.isna().sum()), np.append(observed, day.isna().sum())


def _bins(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Numbers of bins that are in order and sixteen an octave, as docs/monitoring.md describes them."""
    sizes = values.astype(float).abs()
    numbers = np.floor(np.log2(sizes.clip(lower=2.0**-31)) * BINS_AN_OCTAVE + 1e-9) + 30 * BINS_AN_OCTAVE + 1
    return pd.Series(np.where(sizes < 2.0**-30, 0, np.sign(values) * numbers), values.index)


def _categories(baseline: "pd.Series[Any]", day: "pd.Series[Any]") -> tuple[Counts, Counts]:
    """Counts of the baseline's categories, of all others, and of what is missing."""
    known = baseline.dropna().unique()

    def counted(values: "pd.Series[Any]") -> Counts:
        strange = values.notna() & ~values.isin(known)
        return np.array([*((values == name).sum() for name in known), strange.sum(), values.isna().sum()], dtype=float)

    return counted(baseline), counted(day)
