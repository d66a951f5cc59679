"""The bound on memory: however many clients push while the database stands still, the service does not grow."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import uuid4

import grpc
import psutil

from headrace.v1 import ingest_service_pb2 as pb
from headrace.v1.batch_pb2 import Batch
from support.resending_client import batches
from support.scrape import scraped, until_metric
from support.service import ServiceProcess, running_service
from support.timescale import TimescaleCluster
from support.wire_client import WireClient, wire_client

MIB = 1024 * 1024
STREAMS = 200
BUDGET_BYTES = 24 * MIB
ROWS = 12_000  # 290 KB a batch, three times that when it is taken apart: all of them are a gigabyte
OVERHEAD_BYTES = 48 * MIB  # what allocators keep, and libraries that come to life with the first load


async def test_two_hundred_streams_against_a_database_that_stands_still(
    database_url: str, timescale: TimescaleCluster
) -> None:
    sent = batches(0, 6, ROWS)
    async with (
        running_service(
            database_url,
            HEADRACE_INTAKE_MEMORY_BUDGET_BYTES=str(BUDGET_BYTES),
            HEADRACE_INTAKE_MAX_BATCH_BYTES=str(MIB),
            HEADRACE_INTAKE_MAX_CONCURRENT_STREAMS="500",
        ) as service,
        wire_client(service.grpc) as client,
    ):
        await client.register()
        streams = [client.stream() for _ in range(STREAMS)]
        for stream in streams:
            await stream.open(str(uuid4()))
        await streams[0].settle(sent[0])
        before = rss(service)
        timescale.pause()
        sending = [asyncio.create_task(push(each.call, sent[1 if each is streams[0] else 0 :])) for each in streams]
        try:
            held = await at_rest(service)
            grown = rss(service) - before
        finally:
            timescale.resume()
            for stream in streams:
                stream.call.cancel()
            await asyncio.gather(*sending, return_exceptions=True)
        assert held > BUDGET_BYTES // 2, "nothing pushed back"
        # Streams that were silent are surprised by a message each, and gRPC has buffers of its own.
        surprise = STREAMS * (sent[0].ByteSize() + 64 * 1024)
        assert grown < BUDGET_BYTES + surprise + OVERHEAD_BYTES, f"{grown / MIB:.0f} MiB for {held / MIB:.0f} MiB held"
        # Whoever went away: what was read is committed, and all memory given back.
        await until_metric(service, "headrace_stream_active", 0)
        await until_metric(service, "headrace_inflight_batches", 0)
        await until_metric(service, "headrace_queue_bytes", 0)
        assert not [line for line in service.logs if line.get("event") == "defect"]
        assert await works(client)


async def push(call: grpc.aio.StreamStreamCall[pb.IngestRequest, pb.IngestResponse], sent: Sequence[Batch]) -> None:
    """Send without reading."""
    for batch in sent:
        await call.write(pb.IngestRequest(batch=batch))


async def at_rest(service: ServiceProcess) -> float:
    """Wait until the service takes in no more; returns the bytes it has reserved."""
    async with asyncio.timeout(30):
        seen, same = -1.0, 0
        while same < 5:
            await asyncio.sleep(0.2)
            metrics = await scraped(service)
            now = metrics["headrace_inflight_batches"]
            same = same + 1 if now == seen and now else 0
            seen = now
    return metrics["headrace_queue_bytes"]


async def works(client: WireClient) -> bool:
    """Whether the service takes a batch from a new producer."""
    stream = client.stream()
    await stream.open()
    await stream.settle(batches(1, 1, 10)[0])
    return True


def rss(service: ServiceProcess) -> int:
    return psutil.Process(service.process.pid).memory_info().rss
