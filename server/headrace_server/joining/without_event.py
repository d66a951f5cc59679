"""Rows that are about no event: they have nothing to wait for and land at once, each but once.

In: rows of a group without an event_id, with the time they are stored under. Out: STORED, or DUPLICATE where an equal
row is there already. The caller's transaction holds the kind's lock to its end, so the answer stays true.
"""

import asyncio
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from headrace_server.batching.verdicts import Verdict
from headrace_server.copying.connection import Connection
from headrace_server.copying.encoding import encode
from headrace_server.copying.landing import GroupRows, Landed
from headrace_server.copying.target import copy
from headrace_server.copying.unique_landing import PLACE
from headrace_server.joining import inbox
from headrace_server.joining.keys import by_index
from headrace_server.joining.repeats import cleared_staging, sent_before
from headrace_server.joining.tables import LateTables
from headrace_server.models.column_types import TIMESTAMP
from headrace_server.models.names import quote_identifier
from headrace_server.validation.row_schema import Mask


@dataclass(frozen=True)
class PreparedWithoutEvent:
    """Rows about no event, made ready for one attempt."""

    tables: LateTables
    rows: GroupRows

    async def land(self, connection: Connection) -> Landed:
        """Store the rows that are not there yet."""
        tables, table = self.tables, self.rows.table
        moment = await inbox.lock(connection, tables)
        repeats = await self._repeats(connection)
        fresh = table.filter(pa.array(~repeats))
        if len(fresh):
            recorded = pa.repeat(pa.scalar(moment, TIMESTAMP), len(fresh))
            fresh = fresh.append_column("recorded_time", recorded).sort_by("event_time")
            data = await asyncio.to_thread(tables.settled.encode, fresh)
            await copy(connection, tables.settled.schema, tables.settled.name, fresh.column_names, data)
        return _verdicts(repeats)

    async def foresee(self, connection: Connection) -> Landed:
        """Say what `land` would, without the lock."""
        return _verdicts(await self._repeats(connection))

    async def _repeats(self, connection: Connection) -> Mask:
        tables, table = self.tables, self.rows.table
        staged = table.append_column(PLACE, pa.array(np.arange(len(table), dtype=np.int32)))
        data = await asyncio.to_thread(encode, staged, tables.settled.json_columns)
        repeats = np.zeros(len(table), dtype=np.bool_)
        async with by_index(connection, first=cleared_staging(tables)):
            await copy(connection, None, tables.staging, staged.column_names, data)
            repeats[[row[0] for row in await connection.fetch(sent_before(tables))]] = True
            for _, start, end in tables.settled.windows(tables.settled.chunks_of(table)):
                repeats[[row[0] for row in await connection.fetch(_stored(tables, start, end))]] = True
        return repeats


def _verdicts(repeats: Mask) -> Landed:
    return Landed(np.where(repeats, Verdict.DUPLICATE, Verdict.STORED).astype(np.uint8))


def _stored(tables: LateTables, start: str, end: str) -> str:
    by_index_of = " AND ".join(f"t.{name} = s.{name}" for name in map(quote_identifier, tables.indexed))
    return (
        f"SELECT s.{PLACE} FROM {tables.staging} s JOIN {tables.settled.sql} t ON {by_index_of}"  # noqa: S608 - quoted
        f" WHERE s.event_time >= {start} AND s.event_time < {end} AND t.event_time >= {start} AND t.event_time < {end}"
        f" AND t.event_id IS NULL AND {tables.same('t', 's')}"
    )
