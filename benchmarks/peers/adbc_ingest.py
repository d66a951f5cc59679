"""ADBC's `adbc_ingest`: dicts to Arrow, Arrow to COPY in C++, no Python object a row after the first step."""

from __future__ import annotations

from collections.abc import Sequence

import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa

from benchmarks.arena import Arena
from benchmarks.rows import Row
from benchmarks.tables import Table

_TYPES = {
    "float64": pa.float64(),
    "int64": pa.int64(),
    "string": pa.string(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}


class AdbcIngest:
    """An ingest and a transaction for each so many rows; making the Arrow table is inside the clock."""

    def __init__(self, arena: Arena, name: str, table: Table, row_count: int, batch_rows: int) -> None:
        self.name = name
        self.table = table
        self.row_count = row_count
        self._batch_rows = batch_rows
        self._rows: Sequence[Row] = ()
        types = {"event_time": "timestamp", "event_id": "string", **table.shape.types}
        self._schema = pa.schema([(name, _TYPES[kind]) for name, kind in types.items()])
        self._connection = adbc.connect(arena.database_url)

    def prepare(self, rows: Sequence[Row]) -> None:
        """Take the rows."""
        self._rows = rows

    def run(self) -> None:
        """Write them, each ingest committed before the next."""
        with self._connection.cursor() as cursor:
            for start in range(0, len(self._rows), self._batch_rows):
                batch = pa.Table.from_pylist(self._rows[start : start + self._batch_rows], schema=self._schema)
                cursor.adbc_ingest(self.table.name, batch, mode="append", db_schema_name="main")
                self._connection.commit()

    def service_pid(self) -> None:
        """Nothing stands between."""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
