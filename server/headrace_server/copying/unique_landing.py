"""Rows with identity (event_id, event_time): stored once, a repeat told apart as duplicate or conflict.

Two ways, the fast one first:
- *Straight*: one COPY, sorted so that concurrent transactions meet repeats in one order and never deadlock. The unique
  index refuses the first repeat (23505) and the group comes back here prepared the other way.
- *Probing*: stage the keys alone, learn which are there, COPY the others, then stage the repeats whole and compare them
  with what is stored. A table that met a repeat is probed for its next 100 groups: repeats come in floods.

Another transaction may store one of our keys between the probe and the COPY: 23505 again, and the copier tries again.
"""

import asyncio
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headrace_server.batching.verdicts import Verdict
from headrace_server.copying.connection import Connection
from headrace_server.copying.copied_rows import CopiedRows
from headrace_server.copying.encoding import encode
from headrace_server.copying.landing import GroupRows, Landed
from headrace_server.copying.target import Target, copy
from headrace_server.models.names import quote_identifier

PROBED_GROUPS = 100
_KEY = ("event_id", "event_time")
_NONE = np.empty(0, dtype=np.int64)
PLACE = "_place"  # row number in a staging table; no model's column can be called so, since folding drops leading _


class RepeatWatch:
    """Whether a table is to be probed; shared by the landings of one table over all revisions."""

    def __init__(self) -> None:
        self._left = 0

    def met_repeat(self) -> None:
        """A repeat was met: probe the next groups."""
        self._left = PROBED_GROUPS

    def probe_next(self) -> bool:
        """Whether the next group is to be probed; counts it."""
        if self._left <= 0:  # threads count it down without a lock: one too many does no harm
            return False
        self._left -= 1
        return True


def sort_by_key(target: Target, table: pa.Table) -> npt.NDArray[np.int64]:
    """The order of all transactions: by chunk, then by key. Stable: of two equal keys the first sent stays first."""
    if len(table) < 2:
        return np.arange(len(table))
    keyed = pa.table({name: table.column(name) for name in _KEY})
    chunks = target.chunks_of(table)
    keys = [(name, "ascending") for name in _KEY]
    if len(chunks) and (chunks != chunks[0]).any():
        keyed = keyed.append_column("chunk", pa.array(chunks))
        keys = [("chunk", "ascending"), *keys]
    order: npt.NDArray[np.int64] = pc.sort_indices(keyed, sort_keys=keys).to_numpy().astype(np.int64)
    return order


def prepare_straight(target: Target, rows: GroupRows) -> CopiedRows:
    """Sort and encode all rows, in the hope that none is a repeat."""
    order = sort_by_key(target, rows.table)
    table = rows.table.take(pa.array(order))
    return CopiedRows(target, table.column_names, target.encode(table), order)


@dataclass
class ProbedRows:
    """Sorted rows whose repeats are to be told apart.

    Attributes:
        order: Position in the group of each sorted row.
        table: The rows, sorted.
        first: Sorted rows that are the first of their key in this group; the others are repeats for certain.
        keys: The keys of the first rows with their place, encoded for the staging table.
        lines: Position in the group of each line of the COPY, once that has begun.
    """

    target: Target
    order: npt.NDArray[np.int64]
    table: pa.Table
    first: npt.NDArray[np.bool_]
    keys: memoryview
    lines: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    async def land(self, connection: Connection) -> Landed:
        """Store what is new, compare what is not.

        Raises:
            asyncpg.UniqueViolationError: Another transaction has just stored one of the keys.
        """
        stored_before = await self._probe(connection)
        fresh = self.first & ~stored_before
        if fresh.any():
            new = self.table.filter(pa.array(fresh))
            self.lines = self.order[fresh]
            data = await asyncio.to_thread(self.target.encode, new)
            await copy(connection, self.target.schema, self.target.name, new.column_names, data)
        return await self._told_apart(connection, fresh)

    async def foresee(self, connection: Connection) -> Landed:
        """Say what `land` would; repeats of a row that it would have stored are compared with that one."""
        fresh = self.first & ~await self._probe(connection)
        firsts = np.flatnonzero(self.first)[np.cumsum(self.first) - 1]
        repeated = np.unique(firsts[~fresh])
        return await self._told_apart(connection, fresh, unstored=repeated[fresh[repeated]])

    async def _told_apart(
        self, connection: Connection, fresh: npt.NDArray[np.bool_], unstored: npt.NDArray[np.int64] = _NONE
    ) -> Landed:
        """The verdicts in the order of the group: all but the fresh rows are compared."""
        verdicts = np.full(len(self.order), Verdict.STORED, dtype=np.uint8)
        repeats = np.flatnonzero(~fresh)
        if len(repeats):
            same = await self._compare(connection, repeats, unstored)
            verdicts[repeats] = np.where(same, Verdict.DUPLICATE, Verdict.CONFLICT)
        landed = np.empty_like(verdicts)
        landed[self.order] = verdicts
        return Landed(landed)

    async def _probe(self, connection: Connection) -> npt.NDArray[np.bool_]:
        """Which sorted rows' keys are in the table already."""
        staging = f"headrace_keys_{self.target.event_id_sql.split()[0]}"
        await connection.execute(
            f"CREATE TEMP TABLE IF NOT EXISTS {staging} ({PLACE} int, event_id {self.target.event_id_sql},"
            " event_time timestamptz) ON COMMIT DELETE ROWS"
        )
        await copy(connection, None, staging, [PLACE, *_KEY], self.keys)
        found = np.zeros(len(self.order), dtype=np.bool_)
        for _, start, end in self.target.windows(self.target.chunks_of(self.table)):
            places = await connection.fetch(
                f"SELECT k.{PLACE} FROM {staging} k JOIN {self.target.sql} e"  # noqa: S608 - identifiers of the registry, quoted
                " ON e.event_id = k.event_id AND e.event_time = k.event_time"
                f" WHERE e.event_time >= {start} AND e.event_time < {end}"
                f" AND k.event_time >= {start} AND k.event_time < {end}"
            )
            found[[row[0] for row in places]] = True
        await connection.execute(f"TRUNCATE {staging}")
        return found

    async def _compare(
        self, connection: Connection, repeats: npt.NDArray[np.int64], unstored: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """Whether each repeat equals the row of its key in every compared column; one that it does not have is null.

        That row is in the table, or else among the unstored.
        """
        staging = quote_identifier(f"headrace_repeats_{self.target.name}"[:63])
        await connection.execute(f"CREATE TEMP TABLE {staging} ({PLACE} int, LIKE {self.target.sql}) ON COMMIT DROP")
        staged = np.concatenate([repeats, unstored])
        rows = self.table.take(pa.array(staged)).add_column(0, PLACE, pa.array(np.arange(len(staged), dtype=np.int32)))
        data = await asyncio.to_thread(self.target.encode, rows)
        await copy(connection, None, staging.strip('"'), rows.column_names, data)
        equal = " AND ".join(
            f"e.{column} IS NOT DISTINCT FROM s.{column}" for column in map(quote_identifier, self.target.compared)
        )
        same = np.zeros(len(repeats), dtype=np.bool_)
        for _, start, end in self.target.windows(self.target.chunks_of(rows)):
            equals = await connection.fetch(
                f"SELECT s.{PLACE} FROM {staging} s JOIN {self.target.sql} e"  # noqa: S608 - as above
                " ON e.event_id = s.event_id AND e.event_time = s.event_time"
                f" WHERE e.event_time >= {start} AND e.event_time < {end}"
                f" AND s.event_time >= {start} AND s.event_time < {end} AND {equal}"
            )
            same[[row[0] for row in equals if row[0] < len(repeats)]] = True
        if len(unstored):
            equals = await connection.fetch(
                f"SELECT s.{PLACE} FROM {staging} s JOIN {staging} e"  # noqa: S608 - as above
                " ON e.event_id = s.event_id AND e.event_time = s.event_time"
                f" WHERE s.{PLACE} < {len(repeats)} AND e.{PLACE} >= {len(repeats)} AND {equal}"
            )
            same[[row[0] for row in equals]] = True
        await connection.execute(f"DROP TABLE {staging}")
        return same


def prepare_probed(target: Target, rows: GroupRows) -> ProbedRows:
    """Sort the rows and encode their keys."""
    order = sort_by_key(target, rows.table)
    table = rows.table.take(pa.array(order)).combine_chunks()
    first = np.ones(len(order), dtype=np.bool_)
    if len(order) > 1:
        ids, times = table.column("event_id"), table.column("event_time")
        repeated = pc.and_(pc.equal(ids[1:], ids[:-1]), pc.equal(times[1:], times[:-1]))
        first[1:] = ~repeated.to_numpy()
    places = pa.array(np.arange(len(order), dtype=np.int32))
    keys = pa.table([places, table.column("event_id"), table.column("event_time")], names=[PLACE, *_KEY])
    return ProbedRows(target, order, table, first, encode(keys.filter(pa.array(first))))
