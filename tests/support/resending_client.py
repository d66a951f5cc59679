"""A client of the bare protocol that does what every client must: whatever is not acked it sends again, anywhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from uuid import uuid4

import grpc

from headrace.v1 import batch_pb2, result_pb2
from support.wire_client import WireStream, wire_client
from support.wire_forms import as_columns

WINDOW = 8  # batches in flight
START_US = 1_356_998_400_000_000


class ResendingClient:
    """One producer with its batches.

    Attributes:
        results: Result of each settled batch by seq; None where all was stored.
        sessions: Streams it has opened.
        acked: Seq up to which everything is settled.
        refusals: How its streams ended before their time.
    """

    def __init__(self, address: Callable[[], str], batches: Sequence[batch_pb2.Batch]) -> None:
        self._address = address
        self._batches = batches
        self._producer_id = str(uuid4())
        self.results: dict[int, result_pb2.BatchResult | None] = {}
        self.sessions = 0
        self.acked = 0
        self.refusals: list[str] = []
        self._moved = asyncio.Event()

    async def run(self) -> None:
        """Send until everything is acked."""
        while self.acked < len(self._batches):
            try:
                async with wire_client(self._address()) as client:
                    await self._converse(client.stream())
            except (grpc.aio.AioRpcError, AssertionError, asyncio.InvalidStateError) as error:
                self.refusals.append(str(error).partition("\n")[0])
                await asyncio.sleep(0.05)

    @property
    def stored(self) -> int:
        """Rows that were told stored."""
        told = {seq: result.stored for seq, result in self.results.items() if result is not None}
        return sum(told.get(seq, _rows(self._batches[seq - 1])) for seq in range(1, self.acked + 1))

    async def _converse(self, stream: WireStream) -> None:
        await stream.open(self._producer_id, results_through=self.acked)
        self.sessions += 1
        sending = asyncio.create_task(self._send(stream, self.acked))
        try:
            while self.acked < len(self._batches):
                message = await stream.read()
                if message.WhichOneof("message") == "drain":
                    return
                if message.WhichOneof("message") == "ack":
                    results = {result.seq: result for result in message.ack.results}
                    for seq in range(self.acked + 1, message.ack.through_seq + 1):
                        self.results[seq] = results.get(seq)
                    self.acked = message.ack.through_seq
                    self._moved.set()
            await stream.call.done_writing()
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await sending
            stream.call.cancel()

    async def _send(self, stream: WireStream, after: int) -> None:
        for batch in self._batches[after:]:
            while batch.seq > self.acked + WINDOW:
                self._moved.clear()
                await self._moved.wait()
            await stream.batch(batch)


def batches(producer: int, count: int, rows: int = 200) -> Sequence[batch_pb2.Batch]:
    """Batches of a producer, every row of them another event."""
    made = []
    for seq in range(1, count + 1):
        first = (seq - 1) * rows
        numbers = range(first, first + rows)
        batch = as_columns(
            {
                "event_id": ("string", [f"p{producer}-{number}" for number in numbers]),
                "event_time": ("timestamp", [START_US + 1_000_000 * number for number in numbers]),
                "dep_delay": ("float64", [float(number) for number in numbers]),
            }
        )
        batch.seq = seq
        made.append(batch)
    return made


def _rows(batch: batch_pb2.Batch) -> int:
    return batch.columns.row_count


async def sent_by(clients: Sequence[ResendingClient], within_s: float = 60.0) -> None:
    """Run clients until all of their batches are acked."""
    async with asyncio.timeout(within_s):
        await asyncio.gather(*(client.run() for client in clients))
