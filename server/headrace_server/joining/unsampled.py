"""Tells which late rows that found no event are those of events outside the sample: they wait for nothing.

The rate that counts is the one in force at the event's time. Where that is not known, the highest of the last week
does: rather may a row wait in vain than be skipped though its event is on its way.
"""

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace_server.joining.tables import NO_TIME, LateTables, Micros
from headrace_server.models.sampling import UNTIMED_WITHIN, highest_rate, kept


def unsampled(tables: LateTables, ids: pa.Array, times: Micros) -> npt.NDArray[np.bool_]:
    """Which of the events with these ids, at these times, are outside the sample; NO_TIME where it is not known."""
    outside = np.zeros(len(ids), dtype=np.bool_)
    if not tables.sampling or not len(ids):
        return outside
    rates = np.full(len(ids), highest_rate(tables.sampling, datetime.now(UTC) - UNTIMED_WITHIN))
    timed = times != NO_TIME
    began = np.array([int(each.began_at.timestamp() * 1_000_000) for each in tables.sampling])
    by_age = np.array([1.0, *(each.rate for each in tables.sampling)])
    rates[timed] = by_age[np.searchsorted(began, times[timed], side="right")]
    for rate in np.unique(rates):
        places = np.flatnonzero(rates == rate)
        outside[places] = ~kept(ids.take(pa.array(places)), float(rate))
    return outside
