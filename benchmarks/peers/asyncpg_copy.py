"""asyncpg's `copy_records_to_table`: the fastest thing a plain asyncpg script has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any

import asyncpg

from benchmarks.arena import Arena
from benchmarks.rows import Row
from benchmarks.tables import Table


class AsyncpgScript(ABC):
    """A script that writes dicts in calls of so many rows over one connection; what a call does is its subclass's."""

    def __init__(self, arena: Arena, name: str, table: Table, row_count: int, batch_rows: int) -> None:
        self.name = name
        self.table = table
        self.row_count = row_count
        self._arena = arena
        self._batch_rows = batch_rows
        self._rows: Sequence[Row] = ()
        self._columns = table.shape.columns
        self._cells = itemgetter(*self._columns)
        self._connection: Any = arena.wait(self._connect())

    async def _connect(self) -> Any:
        return await asyncpg.connect(self._arena.database_url)

    def prepare(self, rows: Sequence[Row]) -> None:
        """Take the rows."""
        self._rows = rows

    def run(self) -> None:
        """Write them, each call committed before the next."""
        self._arena.wait(self._write_all())

    async def _write_all(self) -> None:
        for start in range(0, len(self._rows), self._batch_rows):
            await self._write(map(self._cells, self._rows[start : start + self._batch_rows]))

    @abstractmethod
    async def _write(self, records: Iterator[tuple[Any, ...]]) -> None:
        """Make one call."""

    def service_pid(self) -> None:  # noqa: B027 -- of every peer, and nothing to a script
        """Nothing stands between."""

    def close(self) -> None:
        """Close the connection."""
        self._arena.wait(self._connection.close())


class AsyncpgCopy(AsyncpgScript):
    """COPY, a transaction a call."""

    async def _write(self, records: Iterator[tuple[Any, ...]]) -> None:
        await self._connection.copy_records_to_table(
            self.table.name, schema_name="main", columns=self._columns, records=records
        )
