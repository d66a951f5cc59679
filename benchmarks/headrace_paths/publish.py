"""`publish()`: the SDK's bulk way, from a DataFrame or from dicts. Its encoding is inside the clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from benchmarks.arena import Arena
from benchmarks.rows import Row
from benchmarks.tables import Table

Source = Callable[[Sequence[Row]], object]


def as_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Return rows as the DataFrame that a batch job has."""
    return pd.DataFrame.from_records(rows)


def as_dicts(rows: Sequence[Row]) -> Sequence[Row]:
    """Return rows as they are: the dicts that a Python program has."""
    return rows


class Publish:
    """One client, one stream."""

    def __init__(self, arena: Arena, name: str, table: Table, row_count: int, source: Source) -> None:
        self.name = name
        self.table = table
        self.row_count = row_count
        self._arena = arena
        self._as_source = source
        self._source: object = ()

    def prepare(self, rows: Sequence[Row]) -> None:
        """Make the source."""
        self._source = self._as_source(rows)

    def run(self) -> None:
        """Publish them; every row has its verdict when it returns."""
        result = self.table.model.publish(self._source)
        if result.stored != self.row_count:
            raise RuntimeError(f"{self.name}: {result}")

    def service_pid(self) -> int:
        """The service."""
        return self._arena.service.pid

    def close(self) -> None:
        """The client is the arena's."""
