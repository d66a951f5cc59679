"""The keys of rows in a temporary table, and the questions that are asked of them chunk by chunk.

In: event ids with the time at which something is looked for, sorted by chunk. Out: which of them a hypertable has, or
has not. Every question names the chunks' own tables, so that there is nothing for the planner to leave out, and goes by
index for each key: that costs about 2 µs a key however large the chunk is. A chunk that is made while it is asked is
not seen: nobody's answer depends on it but that of the look after the COMMIT, which asks anew.

The table belongs to the connection and is emptied by each COMMIT: nothing of the catalogue is written for a group.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from headrace_server.copying.connection import Connection
from headrace_server.copying.encoding import encode
from headrace_server.copying.target import Target, copy, literal
from headrace_server.copying.unique_landing import PLACE
from headrace_server.joining.arrangement import times_of
from headrace_server.joining.chunk_tables import ChunkTable, chunk_tables
from headrace_server.joining.tables import LateTables, Micros, Places

CHUNKS_AT_ONCE = 32  # in one statement

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
        """Ask chunk by chunk, each by its own name: so planning takes a tenth of what leaving out the others takes."""
        numbers = table.chunk_numbers(times)
        outside = np.ones(len(places), dtype=np.bool_)
        spans: list[tuple[ChunkTable, int, int]] = []
        for chunk in await chunk_tables(connection, table):
            start, end = chunk.micros
            first, last = table.chunk_numbers(np.array([start, end - 1])).tolist()
            low, high = np.searchsorted(numbers, [first, last + 1]).tolist()
            inside = (times[low:high] >= start) & (times[low:high] < end)
            if inside.any():
                outside[low:high] &= ~inside
                spans.append((chunk, int(places[low]), int(places[high - 1])))
        answers: list[int] = [] if exists == "EXISTS" else places[outside].tolist()
        for low in range(0, len(spans), CHUNKS_AT_ONCE):
            some = spans[low : low + CHUNKS_AT_ONCE]
            bounds = [bound for _, first, last in some for bound in (first, last)]
            question = self._question(exists, [chunk for chunk, _, _ in some])
            answers.extend(row[0] for row in await connection.fetch(question, *bounds))
        return np.array(answers, dtype=np.int64)

    def _question(self, exists: str, chunks: Sequence[ChunkTable]) -> str:
        return " UNION ALL ".join(
            f"SELECT k.{PLACE} FROM {self.name} k"  # noqa: S608 - identifiers of the registry and the catalogue, quoted
            f" WHERE k.{PLACE} >= ${2 * at + 1} AND k.{PLACE} <= ${2 * at + 2}"
            f" AND k.event_time >= {literal(chunk.start)} AND k.event_time < {literal(chunk.end)}"
            f" AND {exists} (SELECT FROM {chunk.sql} t WHERE t.event_id = k.event_id AND t.event_time = k.event_time)"
            for at, chunk in enumerate(chunks)
        )
