"""How a stream ends: each cause by its name, and with RetryInfo if and only if trying again is worth it."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import asyncpg
import grpc
import pytest

from headrace.v1 import ingest_service_pb2 as pb
from support.scrape import scraped, until_metric
from support.service import ServiceProcess, running_service
from support.timescale import TimescaleCluster
from support.wire_client import WireClient, WireStream, events, is_retryable, json_batch, wire_client

INVALID, UNAVAILABLE = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNAVAILABLE


async def ending(stream: WireStream) -> tuple[grpc.StatusCode, str, bool]:
    code, reason, status = await stream.end()
    return code, reason, is_retryable(status)


async def test_what_a_client_does_wrong_is_told_by_name(client: WireClient) -> None:
    await client.register()
    twice = client.stream()
    await twice.open()
    await twice.send(pb.IngestRequest(open=pb.Open(producer_id=str(uuid4()))))
    assert await ending(twice) == (INVALID, "MESSAGE_UNEXPECTED", False)

    empty = client.stream()
    await empty.open()
    await empty.send(pb.IngestRequest())
    assert await ending(empty) == (INVALID, "MESSAGE_UNEXPECTED", False)

    ended = client.stream()
    await ended.call.done_writing()
    assert await ending(ended) == (INVALID, "OPEN_EXPECTED", False)

    for producer_id in ("", "worker-1", "\0"):
        nobody = client.stream()
        await nobody.send(pb.IngestRequest(open=pb.Open(producer_id=producer_id)))
        assert await ending(nobody) == (INVALID, "PRODUCER_ID_INVALID", False)

    for project in ("nowhere", "x" * 5_000, "ma\0in"):
        denied = client.stream()
        await denied.send(pb.IngestRequest(open=pb.Open(producer_id=str(uuid4()), project=project)))
        assert await ending(denied) == (grpc.StatusCode.PERMISSION_DENIED, "PROJECT_DENIED", False)


async def test_what_a_client_says_of_itself_harms_nobody(client: WireClient, database: asyncpg.Connection) -> None:
    await client.register()
    odd = client.stream()
    opened = await odd.open(client="\0" * 500, next_seq=2**64 - 1, results_through=2**64 - 1)
    assert opened.ledger_regressed
    assert opened.last_committed_seq == 0
    await odd.send(pb.IngestRequest(report=pb.Report(results_through=2**64 - 1, dropped_rows={"\0": 2**64 - 1})))
    stream = client.stream()
    await stream.open()
    assert await stream.settle(json_batch(events(3), seq=1)) is None
    assert await database.fetchval("SELECT count(*) FROM main.flight_delay") == 3


async def test_a_ledger_that_knows_less_than_the_client_is_told_counted_and_gone_on_from(
    service: ServiceProcess, client: WireClient, database: asyncpg.Connection
) -> None:
    await client.register()
    producer = str(uuid4())
    stream = client.stream()
    await stream.open(producer)
    for seq in (1, 2, 3):
        await stream.settle(json_batch(events(2, first=2 * seq), seq=seq))
    await database.execute("UPDATE headrace.producers SET last_seq = 1")
    again = client.stream()
    opened = await again.open(producer, next_seq=4, results_through=3)
    assert opened.ledger_regressed
    assert opened.last_committed_seq == 1
    assert await again.settle(json_batch(events(2, first=20), seq=4)) is None
    assert (await service.logged("ledger_regressed"))["client_was_told"] == 3
    assert (await scraped(service))["headrace_ledger_regressed_total"] == 1


async def test_clients_that_are_silent_or_do_not_listen_are_ended_by_name(database_url: str) -> None:
    limits = {
        "HEADRACE_INTAKE_OPEN_TIMEOUT_S": "0.3",
        "HEADRACE_INTAKE_IDLE_TIMEOUT_S": "0.5",
        "HEADRACE_INTAKE_ACKS_TIMEOUT_S": "0.5",
    }
    async with running_service(database_url, **limits) as service, wire_client(service.grpc) as client:
        await client.register()
        assert await ending(client.stream()) == (INVALID, "OPEN_EXPECTED", False)

        idle = client.stream()
        await idle.open()
        await idle.settle(json_batch(events(1), seq=1))
        assert await ending(idle) == (UNAVAILABLE, "STREAM_IDLE", True)

        async with grpc.aio.insecure_channel(service.grpc, options=NARROW) as channel:
            deaf = WireClient(channel).stream()
            await deaf.open()
            rows = [
                row for number in range(4_000) for row in (events(1, number)[0], events(1, number, dep_delay=-1.0)[0])
            ]
            sending = asyncio.create_task(send_all(deaf, [json_batch(rows, seq=seq) for seq in range(1, 40)]))
            await until_handled(service)
            assert await ending(deaf) == (UNAVAILABLE, "ACKS_NOT_READ", True)
            await asyncio.gather(sending, return_exceptions=True)


async def test_a_stream_is_told_now_and_then_that_the_service_is_there(
    database_url: str, timescale: TimescaleCluster
) -> None:
    async with (
        running_service(database_url, HEADRACE_INTAKE_HEARTBEAT_S="0.1") as service,
        wire_client(service.grpc) as client,
    ):
        await client.register()
        stream = client.stream()
        opened = await stream.open()
        assert opened.heartbeat_ms == 100
        idle = [await stream.heartbeat() for _ in range(3)]
        assert [message.credit.credit_bytes for message in idle] == 3 * [opened.credit_bytes]
        timescale.pause()
        try:
            batch = json_batch(events(3), seq=1)
            await stream.batch(batch)
            waiting = [await stream.heartbeat() for _ in range(3)]
        finally:
            timescale.resume()
        assert all(message.HasField("credit") for message in waiting)
        assert (await stream.ack()).through_seq == 1


# A client that takes no more than a stream's first window before it reads.
NARROW = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_535)]


async def send_all(stream: WireStream, batches: list[Any]) -> None:
    for batch in batches:
        await stream.batch(batch)


async def until_handled(service: ServiceProcess) -> None:
    """Wait until the service has no stream left."""
    await until_metric(service, "headrace_stream_active", 0)


async def test_fenced_sessions_are_counted(service: ServiceProcess, client: WireClient) -> None:
    await client.register()
    producer = str(uuid4())
    older, newer = client.stream(), client.stream()
    await older.open(producer)
    await newer.open(producer)
    await older.batch(json_batch(events(1), seq=1))
    assert await ending(older) == (grpc.StatusCode.ABORTED, "FENCED", False)
    assert (await scraped(service))["headrace_fenced_total"] == 1


async def test_a_database_that_is_away_is_told_with_retry_info_to_whoever_opens(
    service: ServiceProcess, client: WireClient, timescale: TimescaleCluster
) -> None:
    await client.register()
    waiting = client.stream()
    await waiting.open()
    await waiting.settle(json_batch(events(1), seq=1))
    await timescale.kill_postmaster()
    try:
        await waiting.batch(json_batch(events(1, first=1), seq=2))
        refused = client.stream()
        await refused.send(pb.IngestRequest(open=pb.Open(producer_id=str(uuid4()))))
        assert await ending(refused) == (UNAVAILABLE, "DATABASE_UNAVAILABLE", True)
        with pytest.raises(grpc.aio.AioRpcError) as call:
            await client.publish(json_batch(events(1)))
        assert call.value.code() is UNAVAILABLE
    finally:
        await timescale.restart()
    assert (await waiting.ack()).through_seq == 2, "who was there already only waits"


async def test_acks_of_what_is_settled_come_before_the_end(client: WireClient) -> None:
    """A client that sets its oldest unacked batch aside must not be misled about which one that is."""
    await client.register()
    stream = client.stream()
    await stream.open()
    for seq in (1, 2, 3):
        await stream.batch(json_batch(events(2, first=2 * seq), seq=seq))
    assert (await stream.ack()).through_seq >= 1
    await stream.batch(json_batch(events(1), seq=9))
    assert (await ending(stream))[1] == "SEQ_GAP"


async def test_clients_that_vanish_at_any_moment_leave_nothing_behind(
    service: ServiceProcess, client: WireClient, database: asyncpg.Connection
) -> None:
    await client.register()
    streams = [client.stream() for _ in range(60)]
    for number, stream in enumerate(streams):
        await stream.open()
        for seq in range(1, 2 + number % 5):
            await stream.batch(json_batch(events(100, first=1_000 * number + 100 * seq), seq=seq))
        if number % 3 == 0:
            stream.call.cancel()
    calls = [asyncio.create_task(client.publish(json_batch(events(100, first=100_000 + 100 * n)))) for n in range(20)]
    await asyncio.sleep(0)
    for each in calls[::2]:
        each.cancel()
    for stream in streams:
        stream.call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    for name in ("stream_active", "inflight_batches", "queue_bytes"):
        await until_metric(service, f"headrace_{name}", 0)
    assert (await scraped(service))["headrace_oldest_unacked_seconds"] == 0
    assert not [line for line in service.logs if line.get("event") in {"defect", "batch_failed_by_defect"}]
    assert await database.fetchval("SELECT count(*) FROM headrace.dead_letters") == 0


async def test_a_client_that_vanishes_while_it_is_told_something_is_no_defect(
    service: ServiceProcess, client: WireClient
) -> None:
    await client.register()
    rows = [row for number in range(2_000) for row in (events(1, number)[0], events(1, number, dep_delay=-1.0)[0])]
    async with grpc.aio.insecure_channel(service.grpc, options=NARROW) as channel:
        deaf = WireClient(channel).stream()
        await deaf.open()
        for seq in range(1, 11):
            await deaf.batch(json_batch(rows, seq=seq))
        # All of it is settled, and the acks are more than the client takes before it reads.
        await until_metric(service, "headrace_inflight_batches", 0, within_s=60)
        deaf.call.cancel()
    await until_metric(service, "headrace_stream_active", 0)
    assert not [line for line in service.logs if line.get("event") == "defect"]
