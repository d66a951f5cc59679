"""Finds the events of labels: at their time where it is known, else by id alone, within a budget.

In: an arrangement of labels whose keys are staged. Out: for each the time of its event, or that there is none, or that
it was not looked for everywhere. Called inside a group's transaction and again after its COMMIT; takes no lock.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace_server.copying.connection import Connection
from headrace_server.labels.arrangement import Arrangement
from headrace_server.labels.id_search import search_by_id
from headrace_server.labels.keys import Keys, by_index
from headrace_server.labels.tables import NO_TIME, LabelTables, Micros

MOST_TOUCHED = 64  # chunks that one group's labels may lie in; each costs a transaction its locks


@dataclass(frozen=True)
class Found:
    """What is known of the events of an arrangement's labels.

    Attributes:
        times: Time of each label's event; NO_TIME where it was not found.
        unsearched: Not found, and not looked for everywhere.
    """

    times: Micros
    unsearched: npt.NDArray[np.bool_]


async def find_events(
    connection: Connection, tables: LabelTables, keys: Keys, labels: Arrangement, budget_s: float
) -> Found:
    """Look for the events of labels.

    Args:
        connection: In a transaction, with the labels' keys staged at their positions.
        tables: The model's tables.
        keys: Where the keys are staged.
        labels: The labels.
        budget_s: Seconds for the search by id.
    """
    times, unsearched = labels.sought.copy(), np.zeros(len(labels), dtype=np.bool_)
    _leave_far(tables, times, unsearched)
    places = np.flatnonzero(times != NO_TIME)
    if len(places):
        async with by_index(connection):
            times[await keys.missing(connection, tables.events, places, times[places])] = NO_TIME
    wanted = np.flatnonzero((times == NO_TIME) & ~labels.given & ~unsearched)
    if len(wanted):
        found = await search_by_id(connection, tables, labels.ids.take(pa.array(wanted)), budget_s)
        times[wanted] = found.times
        unsearched[wanted] = found.unsearched
        _leave_far(tables, times, unsearched)
    return Found(times, unsearched)


def _leave_far(tables: LabelTables, times: Micros, unsearched: npt.NDArray[np.bool_]) -> None:
    """Keep the times of the chunks with the most labels; the resolver sees to those beyond what a group may touch."""
    timed = np.flatnonzero(times != NO_TIME)
    chunks, counts = np.unique(tables.labels.chunk_numbers(times[timed]), return_counts=True)
    if len(chunks) <= MOST_TOUCHED:
        return
    near = chunks[np.argsort(-counts, kind="stable")[:MOST_TOUCHED]]
    far = timed[~np.isin(tables.labels.chunk_numbers(times[timed]), near)]
    times[far] = NO_TIME
    unsearched[far] = True
