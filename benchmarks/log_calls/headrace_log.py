"""headrace's own `log()`, delivered to the running service meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import headrace
from benchmarks.arena import Arena
from benchmarks.log_calls.caller import Features
from benchmarks.tables import Table


class HeadraceLog:
    """A client with its defaults."""

    name = "headrace log()"

    def __init__(self, arena: Arena, table: Table) -> None:
        self._client = headrace.connect(arena.service.grpc)
        self.call: Callable[[Features], str] = self._client.model(table.name).log

    def settle(self) -> None:
        """Wait for every ack; nothing may have been dropped."""
        self._client.flush(timeout=120.0)
        if dropped := self._client.stats().dropped:
            raise RuntimeError(f"log() dropped rows: {dropped}")

    def close(self) -> None:
        """Close the client."""
        self._client.close()
