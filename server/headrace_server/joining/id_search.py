"""Finds events by id alone: chunk by chunk, likeliest first, until all are found or the budget is spent.

Rows of one group tend to belong to events of one time. So a few of them are looked for everywhere, by index; then
come the chunks where these were found, with all of them, and then the others, newest first. Of several events of one id
the newest that is met counts.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace_server.copying.connection import Connection
from headrace_server.copying.encoding import encode
from headrace_server.copying.target import copy
from headrace_server.copying.unique_landing import PLACE
from headrace_server.joining.arrangement import micros_of
from headrace_server.joining.chunk_tables import ChunkTable, chunk_tables, events_of
from headrace_server.joining.keys import by_index
from headrace_server.joining.tables import NO_TIME, LateTables, Micros, Places
from headrace_server.models.column_types import TIMESTAMP

SAMPLE = 64
CHUNKS_PROBED_AT_ONCE = 64
CHUNKS_JOINED_AT_ONCE = 8


@dataclass(frozen=True)
class FoundById:
    """What the search knows when it ends.

    Attributes:
        times: Time of each id's event; NO_TIME where it was not found.
        unsearched: Not found, and the budget was spent before all chunks were searched.
    """

    times: Micros
    unsearched: npt.NDArray[np.bool_]


async def search_by_id(connection: Connection, tables: LateTables, ids: pa.ChunkedArray, budget_s: float) -> FoundById:
    """Look for events by id.

    Args:
        connection: In a transaction.
        tables: The model's tables.
        ids: Event ids, at least one.
        budget_s: Seconds after which no further chunk is searched.
    """
    search = _Search(connection, tables, len(ids), monotonic() + budget_s)
    await search.stage(ids)
    chunks = await chunk_tables(connection, tables.events)
    sample = np.arange(0, len(ids), max(1, len(ids) // SAMPLE))
    met: Counter[ChunkTable] = Counter()
    async with by_index(connection):
        for some in _slices(chunks, CHUNKS_PROBED_AT_ONCE):
            met.update(chunk for time in await search.take(some, sample) for chunk in some if chunk.holds(time))
    if len(sample) < len(ids):
        likely = [chunk for chunk, _ in met.most_common()]
        others = [chunk for chunk in chunks if chunk not in met]
        for some in (*_slices(likely, CHUNKS_JOINED_AT_ONCE), *_slices(others, CHUNKS_JOINED_AT_ONCE)):
            await search.take(some)
    return FoundById(search.times, (search.times == NO_TIME) & search.given_up)


class _Search:
    """One search: the ids that are left are in a temporary table, those that were found leave it."""

    def __init__(self, connection: Connection, tables: LateTables, count: int, deadline: float) -> None:
        self._connection = connection
        self._id_sql = tables.events.event_id_sql
        self._wanted = f"headrace_late_ids_{'uuid' if tables.is_uuid else 'text'}"
        self._deadline = deadline
        self._left = count
        self.times: Micros = np.full(count, NO_TIME, dtype=np.int64)
        self.given_up = False

    async def stage(self, ids: pa.ChunkedArray) -> None:
        """Put the ids where the search is."""
        await self._connection.execute(
            f"CREATE TEMP TABLE IF NOT EXISTS {self._wanted}"  # noqa: S608 - our own names
            f" ({PLACE} int PRIMARY KEY, event_id {self._id_sql} NOT NULL) ON COMMIT DELETE ROWS;"
            f" DELETE FROM {self._wanted}"
        )
        wanted = pa.table([pa.array(np.arange(len(ids), dtype=np.int32)), ids], names=[PLACE, "event_id"])
        await copy(self._connection, None, self._wanted, wanted.column_names, await asyncio.to_thread(encode, wanted))
        if len(ids) > SAMPLE:
            # That ids hardly repeat is all that the planner has to know, and a sample of 300 shows it.
            await self._connection.execute(
                f"SET LOCAL default_statistics_target = 1; ANALYZE {self._wanted};"
                " SET LOCAL default_statistics_target TO DEFAULT"
            )

    async def take(self, chunks: Sequence[ChunkTable], places: Places | None = None) -> list[datetime]:
        """Look in some chunks, unless nothing is left to find or the budget is spent.

        Args:
            chunks: Where to look.
            places: Which of the ids to look for; all that are left where None.

        Returns:
            Times of the events that were found.
        """
        if self._left == 0:
            return []
        if monotonic() > self._deadline:
            self.given_up = True
            return []
        narrowed = "" if places is None else f" WHERE w.{PLACE} = ANY($1)"
        places_met = (
            f"SELECT w.{PLACE}, max(e.event_time) AS event_time"  # noqa: S608 - our own and quoted names
            f" FROM {self._wanted} w JOIN {events_of(chunks)} e ON e.event_id = w.event_id{narrowed} GROUP BY w.{PLACE}"
        )
        rows = await self._connection.fetch(
            f"WITH met AS ({places_met}) DELETE FROM {self._wanted} w USING met"  # noqa: S608 - as above
            f" WHERE w.{PLACE} = met.{PLACE} RETURNING w.{PLACE}, met.event_time",
            *([] if places is None else [places.tolist()]),
        )
        self._left -= len(rows)
        times = [row[1] for row in rows]
        self.times[[row[0] for row in rows]] = micros_of(pa.chunked_array([times], TIMESTAMP))
        return times


def _slices(chunks: Sequence[ChunkTable], length: int) -> Iterator[Sequence[ChunkTable]]:
    for low in range(0, len(chunks), length):
        yield chunks[low : low + length]
