"""psycopg 3's binary COPY, row by row, with its C implementation."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

import psycopg

from benchmarks.arena import Arena
from benchmarks.rows import Row
from benchmarks.tables import Table

_TYPES = {"float64": "float8", "int64": "int8", "string": "text", "timestamp": "timestamptz"}


class PsycopgCopy:
    """A COPY and a transaction for each so many rows."""

    def __init__(self, arena: Arena, name: str, table: Table, row_count: int, batch_rows: int) -> None:
        self.name = name
        self.table = table
        self.row_count = row_count
        self._batch_rows = batch_rows
        self._rows: Sequence[Row] = ()
        self._columns = table.shape.columns
        self._types = ["timestamptz", "text", *(_TYPES[kind] for kind in table.shape.types.values())]
        self._connection = psycopg.connect(arena.database_url, autocommit=True)

    def prepare(self, rows: Sequence[Row]) -> None:
        """Take the rows."""
        self._rows = rows

    def run(self) -> None:
        """Write them, each COPY committed before the next."""
        cells = itemgetter(*self._columns)
        statement = f"COPY {self.table.sql} ({', '.join(self._columns)}) FROM STDIN (FORMAT BINARY)"
        with self._connection.cursor() as cursor:
            for start in range(0, len(self._rows), self._batch_rows):
                with cursor.copy(statement.encode()) as copy:
                    copy.set_types(self._types)
                    for record in map(cells, self._rows[start : start + self._batch_rows]):
                        copy.write_row(record)

    def service_pid(self) -> None:
        """Nothing stands between."""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
