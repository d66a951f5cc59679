"""asyncpg's two ways with INSERT: executemany, and one INSERT … SELECT FROM unnest of whole columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.peers.asyncpg_copy import AsyncpgScript
from benchmarks.tables import Table

_ARRAYS = {"float64": "float8[]", "int64": "int8[]", "string": "text[]", "timestamp": "timestamptz[]"}


def _insert(table: Table) -> str:
    return f"INSERT INTO {table.sql} ({', '.join(table.shape.columns)})"


class AsyncpgExecutemany(AsyncpgScript):
    """executemany, which pipelines its executions and is one transaction."""

    async def _write(self, records: Iterator[tuple[Any, ...]]) -> None:
        places = ", ".join(f"${number}" for number in range(1, len(self._columns) + 1))
        await self._connection.executemany(f"{_insert(self.table)} VALUES ({places})", records)


class AsyncpgUnnest(AsyncpgScript):
    """UNNEST: a statement a call, a parameter a column."""

    async def _write(self, records: Iterator[tuple[Any, ...]]) -> None:
        types = {"event_time": "timestamptz[]", "event_id": "text[]"}
        types |= {name: _ARRAYS[kind] for name, kind in self.table.shape.types.items()}
        arrays = ", ".join(f"${number}::{types[name]}" for number, name in enumerate(self._columns, 1))
        await self._connection.execute(
            f"{_insert(self.table)} SELECT * FROM unnest({arrays})", *map(list, zip(*records, strict=True))
        )
