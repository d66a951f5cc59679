"""Finds the events of late rows: at their time where it is known, else by id alone, within a budget.

In: an arrangement of rows whose keys are staged. Out: for each the time of its event, or that there is none, or that
it was not looked for everywhere. Called inside a group's transaction and again after its COMMIT; takes no lock.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace_server.copying.connection import Connection
from headrace_server.joining.arrangement import Arrangement
from headrace_server.joining.id_search import search_by_id
from headrace_server.joining.keys import Keys, by_index
from headrace_server.joining.tables import NO_TIME, LateTables, Micros

MOST_TOUCHED = 64  # chunks that one group's rows may lie in; each costs a transaction its locks


@dataclass(frozen=True)
class Found:
    """What is known of the events of an arrangement's rows.

    Attributes:
        times: Time of each row's event; NO_TIME where it was not found.
        unsearched: Not found, and not looked for everywhere.
    """

    times: Micros
    unsearched: npt.NDArray[np.bool_]


async def find_events(
    connection: Connection, tables: LateTables, keys: Keys, late: Arrangement, budget_s: float
) -> Found:
    """Look for the events of rows.

    Args:
        connection: In a transaction, with the rows' keys staged at their positions.
        tables: The model's tables.
        keys: Where the keys are staged.
        late: The rows.
        budget_s: Seconds for the search by id.
    """
    times, unsearched = late.sought.copy(), np.zeros(len(late), dtype=np.bool_)
    _leave_far(tables, times, unsearched)
    places = np.flatnonzero(times != NO_TIME)
    if len(places):
        async with by_index(connection):
            times[await keys.missing(connection, tables.events, places, times[places])] = NO_TIME
    wanted = np.flatnonzero((times == NO_TIME) & ~late.given & ~unsearched)
    if len(wanted):
        found = await search_by_id(connection, tables, late.ids.take(pa.array(wanted)), budget_s)
        times[wanted] = found.times
        unsearched[wanted] = found.unsearched
        _leave_far(tables, times, unsearched)
    return Found(times, unsearched)


def _leave_far(tables: LateTables, times: Micros, unsearched: npt.NDArray[np.bool_]) -> None:
    """Keep the times of the chunks with the most rows; the resolver sees to those beyond what a group may touch."""
    timed = np.flatnonzero(times != NO_TIME)
    chunks, counts = np.unique(tables.settled.chunk_numbers(times[timed]), return_counts=True)
    if len(chunks) <= MOST_TOUCHED:
        return
    near = chunks[np.argsort(-counts, kind="stable")[:MOST_TOUCHED]]
    far = timed[~np.isin(tables.settled.chunk_numbers(times[timed]), near)]
    times[far] = NO_TIME
    unsearched[far] = True
