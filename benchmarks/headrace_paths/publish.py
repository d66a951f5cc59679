"""`publish()`: the SDK's bulk way, rows as dicts in, columns on the wire; encoding is inside the clock."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.arena import Arena
from benchmarks.rows import Row
from benchmarks.tables import Table


class Publish:
    """One client, one stream."""

    def __init__(self, arena: Arena, name: str, table: Table, row_count: int) -> None:
        self.name = name
        self.table = table
        self.row_count = row_count
        self._arena = arena
        self._rows: Sequence[Row] = ()

    def prepare(self, rows: Sequence[Row]) -> None:
        """Take the rows."""
        self._rows = rows

    def run(self) -> None:
        """Publish them; every row has its verdict when it returns."""
        result = self.table.model.publish(self._rows)
        if result.stored != len(self._rows):
            raise RuntimeError(f"{self.name}: {result}")

    def service_pid(self) -> int:
        """The service."""
        return self._arena.service.pid

    def close(self) -> None:
        """The client is the arena's."""
