"""How many chunks a transaction may touch and make, and how many a model may own.

Every chunk that a transaction touches costs it locks, on the table and on each index: 600 weeks in one COPY take 6,009,
and 5,000 end in "out of shared memory", which a blind retry repeats for ever. So a group is looked at before its COPY:
one that is too wide is split by batches, a single batch that is too wide is stored in parts (copying/parts.py).
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from headrace_server.copying.connection import Connection
from headrace_server.copying.group import Group, Part
from headrace_server.copying.target import Target

MOST_TOUCHED = 64
MOST_MADE = 16
MOST_OWNED = 4_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OWNED = """
SELECT range_start FROM timescaledb_information.chunks WHERE hypertable_schema = $1 AND hypertable_name = $2
"""


class TooWideError(Exception):
    """The group touches more chunks than one transaction may."""


class ChunkBook:
    """Which chunks there are, as far as this process has had to know. One for all copiers."""

    def __init__(self) -> None:
        self._known: dict[str, set[int]] = {}

    async def is_too_wide(self, connection: Connection, group: Group) -> bool:
        """Whether one transaction must not take the group. Asks the database only about chunks never seen before."""
        touched = sum(len(part.chunks) for part in group.parts)
        made = 0
        for part in group.parts:
            new = await self.new_chunks(connection, part.landing.target, part.chunks)
            made += len(new)
            if new and len(self._known[part.landing.target.key]) + len(new) > MOST_OWNED:
                return True
        return touched > MOST_TOUCHED or made > MOST_MADE

    async def new_chunks(self, connection: Connection, target: Target, chunks: npt.NDArray[np.int64]) -> set[int]:
        """Those of the chunks that are not there yet."""
        wanted = set(chunks.tolist())
        if not wanted <= self._known.get(target.key, set()):
            rows = await connection.fetch(_OWNED, target.schema, target.name)
            self._known[target.key] = {_number(row["range_start"], target.chunk_interval) for row in rows}
        return wanted - self._known.get(target.key, set())

    def within_limit(self, target: Target, new: Iterable[int]) -> set[int]:
        """Of chunks to be made, the earliest ones for which the model has room."""
        room = max(0, MOST_OWNED - len(self._known.get(target.key, ())))
        return set(sorted(new)[:room])

    def learn(self, parts: Iterable[Part]) -> None:
        """The parts are committed: their chunks are there."""
        for part in parts:
            self._known.setdefault(part.landing.target.key, set()).update(part.chunks.tolist())


def _number(start: datetime, interval: timedelta) -> int:
    return (start - _EPOCH) // interval
