"""A loop of `log()`, end to end: ids made and returned, encoding on the SDK's own thread, flushed inside the clock."""

from __future__ import annotations

from collections.abc import Sequence

import headrace
from benchmarks.arena import Arena
from benchmarks.rows import Row
from benchmarks.tables import Table


class LogLoop:
    """One client of its own whose buffer blocks when it is full, so that nothing is dropped."""

    def __init__(self, arena: Arena, name: str, table: Table, row_count: int) -> None:
        self.name = name
        self.table = table
        self.row_count = row_count
        self._arena = arena
        settings = headrace.Settings(overflow=headrace.Overflow.BLOCK, overflow_timeout_s=60.0)
        self._client = headrace.connect(arena.service.grpc, settings=settings)
        self._features: list[dict[str, object]] = []

    def prepare(self, rows: Sequence[Row]) -> None:
        """Take the features; log() makes the ids and stamps the times."""
        own = list(self.table.shape.types)
        self._features = [{name: row[name] for name in own} for row in rows]

    def run(self) -> None:
        """Log them and wait for every ack."""
        log = self._client.model(self.table.name).log
        for features in self._features:
            log(features)
        self._client.flush(timeout=120.0)
        if dropped := self._client.stats().dropped:
            raise RuntimeError(f"{self.name} dropped rows: {dropped}")

    def service_pid(self) -> int:
        """The service."""
        return self._arena.service.pid

    def close(self) -> None:
        """Close the client."""
        self._client.close()
