"""`Publish`, the unary call: a few calls at a time, each a batch of columns made before the clock."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

import grpc

from benchmarks.arena import Arena
from benchmarks.headrace_paths.wire_stream import OPTIONS, column_form
from benchmarks.rows import Row
from benchmarks.tables import Table
from headrace.v1 import batch_pb2, ingest_service_pb2

METHOD = "/headrace.v1.IngestService/Publish"
AT_A_TIME = 4


class Unary:
    """One channel, four calls at a time."""

    def __init__(self, arena: Arena, name: str, table: Table, row_count: int) -> None:
        self.name = name
        self.table = table
        self.row_count = row_count
        self._arena = arena
        self._requests: list[bytes] = []
        self._channel: grpc.aio.Channel = arena.wait(self._connect())

    async def _connect(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(self._arena.service.grpc, options=OPTIONS)

    def prepare(self, rows: Sequence[Row]) -> None:
        """Make the requests."""
        self._requests = [
            ingest_service_pb2.PublishRequest(
                request_id=str(uuid.uuid4()), batch=batch_pb2.Batch.FromString(body)
            ).SerializeToString()
            for body in column_form(self.table, rows)
        ]

    def run(self) -> None:
        """Make the calls."""
        self._arena.wait(self._publish_all())

    async def _publish_all(self) -> None:
        publish: Any = self._channel.unary_unary(
            METHOD, response_deserializer=ingest_service_pb2.PublishResponse.FromString
        )
        waiting = iter(self._requests)

        async def caller() -> None:
            for request in waiting:
                result = (await publish(request)).result
                if result.stored != result.rows:
                    raise RuntimeError(f"not stored whole: {result}")

        await asyncio.gather(*(caller() for _ in range(AT_A_TIME)))

    def service_pid(self) -> int:
        """The service."""
        return self._arena.service.pid

    def close(self) -> None:
        """Close the channel."""
        self._arena.wait(self._channel.close())
