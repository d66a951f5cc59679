"""A client process that holds many streams open and sends on all of them when it is told to.

`python -m benchmarks.headrace_paths.many_streams ADDRESS FILE STREAMS BATCHES STREAMS_A_CONNECTION`: FILE holds
serialized batches (pickled list of bytes), which the streams take in turns. It says `ready` when every stream is open,
waits for a line on its standard input, sends BATCHES on each stream, and says `done` when all are acknowledged.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
import uuid
from pathlib import Path
from typing import Any

import grpc
import uvloop

from benchmarks.headrace_paths.wire_stream import METHOD, OPTIONS
from headrace.encoding import wire
from headrace.v1 import ingest_service_pb2


class OpenStream:
    """One stream, opened ahead."""

    def __init__(self, call: Any) -> None:
        self._call = call

    @staticmethod
    async def on(channel: grpc.aio.Channel) -> OpenStream:
        """Open a stream under a producer of its own."""
        method: Any = channel.stream_stream(METHOD, response_deserializer=ingest_service_pb2.IngestResponse.FromString)
        stream = OpenStream(method())
        opening = ingest_service_pb2.IngestRequest(open=ingest_service_pb2.Open(producer_id=str(uuid.uuid4())))
        await stream._call.write(opening.SerializeToString())
        await stream._call.read()
        return stream

    async def send(self, bodies: list[bytes]) -> None:
        """Send batches and wait for their acks."""
        sending = asyncio.create_task(self._write(bodies))
        through = 0
        while through < len(bodies):
            answer = await self._call.read()
            if answer is grpc.aio.EOF:
                raise RuntimeError(f"the stream ended: {await self._call.details()}")
            if answer.WhichOneof("message") == "ack":
                through = answer.ack.through_seq
        await sending
        await self._call.done_writing()

    async def _write(self, bodies: list[bytes]) -> None:
        for seq, body in enumerate(bodies, 1):
            await self._call.write(wire.enveloped(wire.with_seq(body, seq)))


async def _run(address: str, bodies: list[bytes], streams: int, batches: int, a_connection: int) -> None:
    channels = [
        grpc.aio.insecure_channel(address, options=(*OPTIONS, ("grpc.use_local_subchannel_pool", 1)))
        for _ in range(-(-streams // a_connection))
    ]
    opened = await asyncio.gather(*(OpenStream.on(channels[n // a_connection]) for n in range(streams)))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    shares = [[bodies[(n + k) % len(bodies)] for k in range(batches)] for n in range(streams)]
    await asyncio.gather(*(stream.send(share) for stream, share in zip(opened, shares, strict=True)))
    print("done", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    for channel in channels:
        await channel.close()


if __name__ == "__main__":
    uvloop.run(_run(sys.argv[1], pickle.loads(Path(sys.argv[2]).read_bytes()), *map(int, sys.argv[3:6])))
