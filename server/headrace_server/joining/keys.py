"""The keys of rows in a temporary table, and the questions that are asked of them chunk by chunk.

In: event ids with the time at which something is looked for, sorted by chunk. Out: which of them a hypertable has, or
has not. Every question carries its chunk's bounds as constants, so that the planner leaves all other chunks out, and
goes by index for each key: that costs about 2 µs a key however large the chunk is.

The table belongs to the connection and is emptied by each COMMIT: nothing of the catalogue is written for a group.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace_server.copying.connection import Connection
from headrace_server.copying.encoding import encode
from headrace_server.copying.target import Target, copy
from headrace_server.copying.unique_landing import PLACE
from headrace_server.joining.arrangement import times_of
from headrace_server.joining.tables import LateTables, Micros, Places

CHUNKS_AT_ONCE = 16  # in one statement; planning takes 1 ms a chunk

# Temporary tables and new chunks have no statistics, and the planner's guesses about them (few rows) lead to nested
# loops without an index: 100 million comparisons for a group. With these off what is left is the index.
_INDEX_ONLY = ("enable_hashjoin", "enable_mergejoin", "enable_material")


@asynccontextmanager
async def by_index(connection: Connection, first: str = "") -> AsyncIterator[None]:
    """Have joins go by index, within a transaction.

    Args:
        connection: In a transaction.
        first: A statement without result to run in the same round trip.
    """
    await connection.execute("; ".join([first, *(f"SET LOCAL {name} = off" for name in _INDEX_ONLY)]).lstrip("; "))
    yield
    # Not after an error: the transaction is over then, and these with it.
    await connection.execute("; ".join(f"SET LOCAL {name} TO DEFAULT" for name in _INDEX_ONLY))


@dataclass(frozen=True)
class Keys:
    """Keys of one kind of event id in a connection's temporary table."""

    name: str
    id_sql: str

    @staticmethod
    def of(tables: LateTables) -> "Keys":
        """The temporary table for a model's keys."""
        return Keys(f"headrace_late_keys_{'uuid' if tables.is_uuid else 'text'}", tables.events.event_id_sql)

    async def clear(self, connection: Connection) -> None:
        """Have the table there and empty: the connection may be new, the transaction may have used it before."""
        await connection.execute(
            f"CREATE TEMP TABLE IF NOT EXISTS {self.name}"  # noqa: S608 - our own names
            f" ({PLACE} int PRIMARY KEY, event_id {self.id_sql} NOT NULL, event_time timestamptz)"
            " ON COMMIT DELETE ROWS;"
            f" DELETE FROM {self.name}"
        )

    def encode(self, ids: pa.ChunkedArray, times: Micros, first: int = 0) -> memoryview:
        """Keys as the bytes of their COPY.

        Args:
            ids: Event ids.
            times: The times that go with them, sorted by chunk.
            first: Place of the first; the others follow it.
        """
        places = pa.array(np.arange(first, first + len(ids), dtype=np.int32))
        return encode(pa.table([places, ids, times_of(times)], names=[PLACE, "event_id", "event_time"]))

    async def stage(self, connection: Connection, keys: memoryview) -> None:
        """Add encoded keys to those that are there."""
        await copy(connection, None, self.name, [PLACE, "event_id", "event_time"], keys)

    async def present(self, connection: Connection, table: Target, places: Places, times: Micros) -> Places:
        """Which keys a hypertable has, of those at the places; a chunk's keys stand together."""
        return await self._ask(connection, "EXISTS", table, places, times)

    async def missing(self, connection: Connection, table: Target, places: Places, times: Micros) -> Places:
        """Which keys a hypertable does not have."""
        return await self._ask(connection, "NOT EXISTS", table, places, times)

    async def among(self, connection: Connection, table: str, places: Places) -> Places:
        """Which keys have an id that a plain table has."""
        rows = await connection.fetch(
            f"SELECT k.{PLACE} FROM {self.name} k WHERE k.{PLACE} = ANY($1::int[])"  # noqa: S608 - as below
            f" AND EXISTS (SELECT FROM {table} t WHERE t.event_id = k.event_id)",
            places.tolist(),
        )
        return np.array([row[0] for row in rows], dtype=np.int64)

    async def _ask(self, connection: Connection, exists: str, table: Target, places: Places, times: Micros) -> Places:
        chunks = table.chunk_numbers(times)
        numbers = np.unique(chunks)
        answers: list[int] = []
        for low in range(0, len(numbers), CHUNKS_AT_ONCE):
            some = numbers[low : low + CHUNKS_AT_ONCE]
            first, last = places[np.searchsorted(chunks, some)], places[np.searchsorted(chunks, some + 1) - 1]
            bounds = np.column_stack((first, last)).ravel().tolist()
            answers.extend(row[0] for row in await connection.fetch(self._question(exists, table, some), *bounds))
        return np.array(answers, dtype=np.int64)

    def _question(self, exists: str, table: Target, chunks: npt.NDArray[np.int64]) -> str:
        return " UNION ALL ".join(
            f"SELECT k.{PLACE} FROM {self.name} k"  # noqa: S608 - identifiers of the registry, quoted
            f" WHERE k.{PLACE} >= ${2 * at + 1} AND k.{PLACE} <= ${2 * at + 2}"
            f" AND k.event_time >= {start} AND k.event_time < {end}"
            f" AND {exists} (SELECT FROM {table.sql} t WHERE t.event_id = k.event_id"
            f" AND t.event_time = k.event_time AND t.event_time >= {start} AND t.event_time < {end})"
            for at, (_, start, end) in enumerate(table.windows(chunks))
        )
