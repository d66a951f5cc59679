"""SIGTERM and the second signal: nothing is lost, and the end comes when it was promised."""

from __future__ import annotations

import asyncio
import itertools
import signal

import asyncpg
import grpc
import orjson
import pytest

from headrace.v1 import ingest_service_pb2 as pb
from support.resending_client import ResendingClient, batches, sent_by
from support.service import ServiceProcess, running_service
from support.timescale import TimescaleCluster
from support.wire_client import events, is_retryable, json_batch, told, wire_client

PRODUCERS, BATCHES, ROWS = 4, 60, 200


async def test_a_replica_that_stops_under_load_loses_and_doubles_nothing(
    database_url: str, database: asyncpg.Connection
) -> None:
    async with running_service(database_url) as stopping, running_service(database_url) as staying:
        addresses = itertools.chain([stopping.grpc] * PRODUCERS, itertools.repeat(staying.grpc))
        clients = [ResendingClient(lambda: next(addresses), batches(n, BATCHES, ROWS)) for n in range(PRODUCERS)]
        async with wire_client(stopping.grpc) as client:
            await client.register()
        sending = asyncio.create_task(sent_by(clients))
        async with asyncio.timeout(30):
            while sum(client.acked for client in clients) < 40:
                await asyncio.sleep(0.005)
        stopping.signal(signal.SIGTERM)
        assert await stopping.ended() == 0
        await sending
    assert {client.sessions for client in clients} == {2}, "each moved over once, when it was told to"
    assert all(not client.refusals for client in clients)
    total = PRODUCERS * BATCHES * ROWS
    assert await database.fetchval("SELECT count(*) FROM main.flight_delay") == total
    assert sum(client.stored for client in clients) == total


async def test_streams_that_stay_are_ended_by_name_when_the_grace_is_spent(database_url: str) -> None:
    async with (
        running_service(database_url, HEADRACE_DRAIN_GRACE_S="1") as service,
        wire_client(service.grpc) as client,
    ):
        await client.register()
        stream = client.stream()
        await stream.open()
        await stream.settle(json_batch(events(3), seq=1))
        service.signal(signal.SIGTERM)
        drain = (await stream.read()).drain
        assert drain.deadline_ms == 1_000
        # Until then the stream goes on, and new ones are sent elsewhere.
        assert await stream.settle(json_batch(events(3, first=3), seq=2)) is None
        refused = client.stream()
        await refused.send(pb.IngestRequest(open=pb.Open(producer_id="6f9619ff-8b86-4d11-b42d-00c04fc964ff")))
        for code, reason, status in (await refused.end(), await stream.end()):
            assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
            assert is_retryable(status)
        assert await service.ended(timeout_s=10) == 0


async def test_a_second_signal_ends_it_at_once_whatever_is_under_way(
    database_url: str, timescale: TimescaleCluster
) -> None:
    async with (
        running_service(database_url, HEADRACE_DRAIN_GRACE_S="300") as service,
        wire_client(service.grpc) as client,
    ):
        await client.register()
        stream = client.stream()
        await stream.open()
        await stream.settle(json_batch(events(3), seq=1))
        timescale.pause()
        try:
            await stream.batch(json_batch(events(3, first=3), seq=2))
            publishing = asyncio.create_task(client.publish(json_batch(events(3, first=6))))
            posting = asyncio.create_task(post(service, events(3, first=9)))
            await asyncio.sleep(0)
            service.signal(signal.SIGTERM)
            assert (await stream.read()).WhichOneof("message") == "drain"
            service.signal(signal.SIGTERM)
            assert await service.ended(timeout_s=15) == 0
        finally:
            timescale.resume()
        code, reason, _ = await stream.end()
        assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        await asyncio.gather(publishing, posting, return_exceptions=True)


async def test_calls_under_way_are_answered_before_the_end(database_url: str, database: asyncpg.Connection) -> None:
    async with running_service(database_url) as service, wire_client(service.grpc) as client:
        await client.register()
        async with database.transaction():
            await database.execute("LOCK TABLE main.flight_delay IN SHARE MODE")
            publishing = asyncio.create_task(client.publish(json_batch(events(3))))
            while not await database.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.01)
            service.signal(signal.SIGTERM)
            await service.logged("stopping")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await client.publish(json_batch(events(3)))
            assert told(refused.value.trailing_metadata())[0] == "DRAINING"
        assert (await publishing).stored == 3
        assert await service.ended() == 0


async def post(service: ServiceProcess, rows: list[dict[str, object]]) -> None:
    """Post events at the HTTP door, and read the answer if one comes."""
    body = orjson.dumps(rows)
    host, _, port = service.http.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/models/flight_delay/events HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
    await reader.read()
    writer.close()
