"""The gRPC service of a first draft: one message an event, gathered by the server and written with asyncpg.

Not badly written: grpc.aio on uvloop, a client stream so that no event waits for an answer, rows gathered to COPYs of
1,000. What makes it slow is its contract: a protobuf message and a turn of the event loop for every single row.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from datetime import UTC
from typing import Any

import asyncpg
import grpc
import uvloop

from headrace.v1 import batch_pb2

METHOD = "/benchmarks.Naive/Log"
GATHERED = 1_000


class Naive:
    """The servicer, for one table."""

    def __init__(self, pool: Any, table: str, columns: list[str]) -> None:
        self._pool = pool
        self._table = table
        self._columns = columns

    async def log(self, rows: AsyncIterator[batch_pb2.Row], _context: Any) -> bytes:
        """Take rows until the stream ends; answer how many are stored."""
        waiting: list[tuple[Any, ...]] = []
        stored = 0
        async for row in rows:
            values = row.values
            cells = (_cell(values[name]) if name in values else None for name in self._columns)
            waiting.append((row.event_time.ToDatetime(UTC), row.event_id, *cells))
            if len(waiting) == GATHERED:
                stored += await self._store(waiting)
        stored += await self._store(waiting)
        return str(stored).encode()

    async def _store(self, waiting: list[tuple[Any, ...]]) -> int:
        rows = len(waiting)
        async with self._pool.acquire() as connection:
            await connection.copy_records_to_table(
                self._table,
                schema_name="main",
                columns=["event_time", "event_id", *self._columns],
                records=waiting,
            )
        waiting.clear()
        return rows


def _cell(value: batch_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "timestamp_value":
        return value.timestamp_value.ToDatetime(UTC)
    return None if kind is None else getattr(value, kind)


async def _serve(url: str, table: str, columns: list[str]) -> None:
    async with asyncpg.create_pool(url, min_size=1, max_size=4) as pool:
        server = grpc.aio.server()
        handler: Any = grpc.stream_unary_rpc_method_handler(
            Naive(pool, table, columns).log, request_deserializer=batch_pb2.Row.FromString
        )
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("benchmarks.Naive", {"Log": handler})])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        print(f"127.0.0.1:{port}", flush=True)
        await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], sys.argv[2], sys.argv[3].split(",")))
