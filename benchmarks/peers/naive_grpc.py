"""Streams rows to the naive service, one message each, made inside the clock as a caller would make them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc

from benchmarks.arena import Arena
from benchmarks.peers.naive_grpc_service import METHOD
from benchmarks.processes import PeerProcess
from benchmarks.rows import Row
from benchmarks.tables import Table
from headrace.v1 import batch_pb2


class NaiveGrpc:
    """The naive service with its client."""

    def __init__(self, arena: Arena, name: str, table: Table, row_count: int) -> None:
        self.name = name
        self.table = table
        self.row_count = row_count
        self._arena = arena
        self._rows: Sequence[Row] = ()
        own = ",".join(table.shape.types)
        self._server = PeerProcess("benchmarks.peers.naive_grpc_service", arena.database_url, table.name, own)
        self._channel: Any = None

    def prepare(self, rows: Sequence[Row]) -> None:
        """Take the rows."""
        self._rows = rows

    def run(self) -> None:
        """Stream them all."""
        stored = self._arena.wait(self._stream())
        if stored != len(self._rows):
            raise RuntimeError(f"{stored} of {len(self._rows)} rows are stored")

    async def _stream(self) -> int:
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(self._server.address)
        log = self._channel.stream_unary(METHOD, request_serializer=batch_pb2.Row.SerializeToString)
        answer: bytes = await log(self._messages())
        return int(answer)

    async def _messages(self) -> AsyncIterator[batch_pb2.Row]:
        for row in self._rows:
            yield as_row(row)

    def service_pid(self) -> int:
        """The service."""
        return self._server.pid

    def close(self) -> None:
        """End both."""
        if self._channel is not None:
            self._arena.wait(self._channel.close())
        self._server.end()


def as_row(row: Row) -> batch_pb2.Row:
    """Return a row as the typed message that other languages send."""
    message = batch_pb2.Row(event_id=row["event_id"])
    message.event_time.FromDatetime(row["event_time"])
    values = message.values
    for name, value in row.items():
        if name in {"event_id", "event_time"} or value is None:
            continue
        if isinstance(value, float):
            values[name].float64_value = value
        elif isinstance(value, int):
            values[name].int64_value = value
        elif isinstance(value, str):
            values[name].string_value = value
        else:
            values[name].timestamp_value.FromDatetime(value)
    return message
