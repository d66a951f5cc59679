"""The tables that are a hypertable's chunks: what a search that knows no time goes through, newest first.

Asked for by name, so that nothing is left to exclude and the planner sees their true sizes; a condition on time makes
it take a chunk that has no statistics yet for nearly empty. A chunk that is dropped in between is an error ("relation
does not exist") that the copier answers by trying again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from headrace_server.copying.connection import Connection
from headrace_server.copying.target import Target
from headrace_server.models.names import qualified

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_CHUNKS = """
SELECT chunk_schema, chunk_name, range_start, range_end FROM timescaledb_information.chunks
WHERE hypertable_schema = $1 AND hypertable_name = $2 ORDER BY range_start DESC
"""


@dataclass(frozen=True)
class ChunkTable:
    """One chunk.

    Attributes:
        sql: Its name as SQL.
        start: First time in it.
        end: First time after it.
    """

    sql: str
    start: datetime
    end: datetime

    @property
    def micros(self) -> tuple[int, int]:
        """Its start and its end in microseconds since 1970."""
        return (self.start - _EPOCH) // _MICROSECOND, (self.end - _EPOCH) // _MICROSECOND

    def holds(self, time: datetime) -> bool:
        """Whether a time falls into it."""
        return self.start <= time < self.end


async def chunk_tables(connection: Connection, table: Target) -> list[ChunkTable]:
    """The chunks of a hypertable, newest first."""
    rows = await connection.fetch(_CHUNKS, table.schema, table.name)
    return [ChunkTable(qualified(row[0], row[1]), row[2], row[3]) for row in rows]


def events_of(chunks: Sequence[ChunkTable]) -> str:
    """SQL of the ids and times of all events in some chunks, to select from."""
    return "(" + " UNION ALL ".join(f"SELECT event_id, event_time FROM {chunk.sql}" for chunk in chunks) + ")"  # noqa: S608 - names of the catalogue, quoted
