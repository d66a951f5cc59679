"""The database's own limit: raw binary COPY of the very bytes headrace would COPY, made before the clock.

The bytes are made by the service's own stages (decode, validate, sort, encode), so they hold what its rows hold,
observed_time too. Each COPY is a transaction of its own, as large as headrace's groups were.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg

from benchmarks.arena import Arena
from benchmarks.groups import GroupSize
from benchmarks.rows import Row
from benchmarks.stages import CopyBytes, ServiceStages
from benchmarks.tables import Table


class CopySource:
    """Makes the bytes for tables of one definition, once a round for all who COPY them."""

    def __init__(self, arena: Arena, table: Table, groups: GroupSize) -> None:
        self._stages = ServiceStages(arena, table)
        self._group_size = groups
        self._rows: Sequence[Row] = ()
        self._made: list[CopyBytes] = []

    def groups(self, rows: Sequence[Row]) -> list[CopyBytes]:
        """Return the bytes for these rows."""
        if rows is not self._rows:
            self._rows, self._made = rows, self._stages.copy_bytes(rows, self._group_size.rows())
        return self._made


class RawCopy:
    """One connection, or several that share the groups."""

    def __init__(
        self, arena: Arena, name: str, table: Table, row_count: int, source: CopySource, *, connections: int = 1
    ) -> None:
        self.name = name
        self.table = table
        self.row_count = row_count
        self._arena = arena
        self._source = source
        self._groups: list[CopyBytes] = []
        self._connections: list[Any] = arena.wait(self._connect(connections))

    async def _connect(self, count: int) -> list[Any]:
        return [await asyncpg.connect(self._arena.database_url) for _ in range(count)]

    def prepare(self, rows: Sequence[Row]) -> None:
        """Make the bytes."""
        self._groups = self._source.groups(rows)

    def run(self) -> None:
        """COPY them."""
        self._arena.wait(self._copy_all())

    async def _copy_all(self) -> None:
        waiting = iter(self._groups)
        await asyncio.gather(*(self._copy(connection, waiting) for connection in self._connections))

    async def _copy(self, connection: Any, groups: Any) -> None:
        for group in groups:
            await connection.copy_to_table(
                self.table.name, schema_name="main", columns=group.columns, source=group.data, format="binary"
            )

    def service_pid(self) -> None:
        """Nothing stands between."""

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections:
            self._arena.wait(connection.close())
