"""The bare protocol on one stream: batches of any form, made before the clock, as a client of another language sends.

Every turn is a new producer: Open, all batches pipelined, acks read beside, half-close after the last.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
import orjson

from benchmarks.arena import Arena
from benchmarks.peers.naive_grpc import as_row
from benchmarks.rows import Row
from benchmarks.stages import BATCH_ROWS, encoded_batches
from benchmarks.tables import Table
from headrace.encoding import wire
from headrace.v1 import batch_pb2, ingest_service_pb2

METHOD = "/headrace.v1.IngestService/Ingest"
OPTIONS = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))
ROW_FORM_BATCH = 2_000
JSON_FORM_BATCH = 5_000
Encode = Callable[[Table, Sequence[Row]], Iterator[bytes]]


def row_form(table: Table, rows: Sequence[Row]) -> Iterator[bytes]:
    """Yield rows as serialized batches of row messages."""
    for start in range(0, len(rows), ROW_FORM_BATCH):
        form = batch_pb2.RowBatch(rows=map(as_row, rows[start : start + ROW_FORM_BATCH]))
        yield _batch(table, rows=form).SerializeToString()


def json_form(table: Table, rows: Sequence[Row]) -> Iterator[bytes]:
    """Yield rows as serialized batches of JSON."""
    for start in range(0, len(rows), JSON_FORM_BATCH):
        form = batch_pb2.JsonRows(rows=orjson.dumps(rows[start : start + JSON_FORM_BATCH]))
        yield _batch(table, json=form).SerializeToString()


def column_form(table: Table, rows: Sequence[Row]) -> Iterator[bytes]:
    """Yield rows as the SDK's serialized batches."""
    return encoded_batches(table, rows, BATCH_ROWS)


def _batch(table: Table, **form: Any) -> batch_pb2.Batch:
    return batch_pb2.Batch(kind=batch_pb2.RECORD_KIND_EVENTS, model=table.name, **form)


async def send_all(channel: grpc.aio.Channel, bodies: Sequence[bytes]) -> None:
    """Send serialized batches under a new producer and wait until the last is acknowledged as stored.

    Raises:
        RuntimeError: A batch was not stored whole.
    """
    ingest: Any = channel.stream_stream(METHOD, response_deserializer=ingest_service_pb2.IngestResponse.FromString)
    call = ingest()
    opening = ingest_service_pb2.IngestRequest(open=ingest_service_pb2.Open(producer_id=str(uuid.uuid4())))
    await call.write(opening.SerializeToString())
    await call.read()
    sending = asyncio.create_task(_send(call, bodies))
    through = 0
    while through < len(bodies):
        answer = await call.read()
        if answer.WhichOneof("message") == "ack":
            through = answer.ack.through_seq
            if answer.ack.results:
                raise RuntimeError(f"not stored whole: {answer.ack.results}")
    await sending
    await call.read()  # the end


async def _send(call: Any, bodies: Sequence[bytes]) -> None:
    for seq, body in enumerate(bodies, 1):
        await call.write(wire.enveloped(wire.with_seq(body, seq)))
    await call.done_writing()


class WireStream:
    """One stream of batches in one form."""

    def __init__(self, arena: Arena, name: str, table: Table, row_count: int, encode: Encode) -> None:
        self.name = name
        self.table = table
        self.row_count = row_count
        self._arena = arena
        self._encode = encode
        self._bodies: list[bytes] = []
        self._channel: grpc.aio.Channel = arena.wait(self._connect())

    async def _connect(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(self._arena.service.grpc, options=OPTIONS)

    def prepare(self, rows: Sequence[Row]) -> None:
        """Make the batches."""
        self._bodies = list(self._encode(self.table, rows))

    def run(self) -> None:
        """Send them."""
        self._arena.wait(send_all(self._channel, self._bodies))

    def service_pid(self) -> int:
        """The service."""
        return self._arena.service.pid

    def close(self) -> None:
        """Close the channel."""
        self._arena.wait(self._channel.close())
