"""A letter is stored once, whoever replays it how often and whatever dies meanwhile; and what a full shelf does."""

import asyncio
from uuid import uuid4

import asyncpg
import grpc
import pytest

import headrace.aio
from headrace import Column, ColumnKind, ValueType
from headrace.v1 import batch_pb2, model_pb2
from support.service import running_service
from support.wire_client import WireClient, events, is_retryable, json_batch, told, wire_client

LETTERS = 600
GATE = Column("gate", ColumnKind.FEATURE, ValueType.STRING)


async def test_two_replays_and_a_kill_store_every_letter_once(database_url: str) -> None:
    """On an APPEND model, where no index would hide a row that was stored twice."""
    database = await asyncpg.connect(database_url)
    async with running_service(database_url) as service, wire_client(service.grpc) as wire:
        await wire.register(identity=model_pb2.IDENTITY_APPEND)
        for first in range(0, LETTERS, 200):
            await wire.publish(json_batch(events(200, first=first, gate="B7")))
        async with headrace.aio.connect(service.grpc) as client:
            await client.update_model("flight_delay", add=[GATE])
            replays = [asyncio.create_task(client.dead_letters.replay(reason="UNKNOWN_COLUMN")) for _ in range(2)]
            marked = "SELECT count(*) FROM headrace.dead_letters WHERE replayed_at IS NOT NULL"
            while not await database.fetchval(marked):
                await asyncio.sleep(0.005)
            service.kill()
            await service.ended()
            for replay in replays:
                replay.cancel()
            await asyncio.gather(*replays, return_exceptions=True)
    async with running_service(database_url) as service, headrace.aio.connect(service.grpc) as client:
        both = await asyncio.gather(*(client.dead_letters.replay(model="flight_delay") for _ in range(2)))
        assert sum(result.refused for result in both) == 0
        assert (await client.dead_letters.replay(model="flight_delay")).tried == 0
    counts = await database.fetchrow("SELECT count(*), count(DISTINCT event_id), count(gate) FROM main.flight_delay")
    assert tuple(counts) == (LETTERS, LETTERS, LETTERS)
    await database.close()


async def test_bad_rows_beyond_the_quota_are_refused_without_their_seq(database_url: str) -> None:
    quota = {"HEADRACE_DEAD_LETTERS_PROJECT_BYTES": "2KiB"}
    bad = events(40, dep_delay="soon")
    async with running_service(database_url, **quota) as service, wire_client(service.grpc) as wire:
        await wire.register()
        kept = await until_refused(wire, json_batch(bad))
        producer = str(uuid4())
        stream = wire.stream()
        await stream.open(producer)
        await stream.batch(json_batch(bad, seq=1))
        code, reason, status = await stream.end()
        assert (code, reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
        assert is_retryable(status)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await wire.publish(json_batch(bad))
        assert told(refused.value.trailing_metadata())[0] == "QUOTA_EXCEEDED"
        assert (await wire.publish(json_batch(events(3)))).stored == 3, "good rows go on"
        async with headrace.aio.connect(service.grpc) as client:
            assert await client.dead_letters.drop() == kept
        again = wire.stream()
        assert (await again.open(producer)).last_committed_seq == 0
        assert (await again.settle(json_batch(bad, seq=1))).rejected == 40


async def until_refused(wire: WireClient, bad: batch_pb2.Batch) -> int:
    """Publish bad rows until the service has looked at what the letters hold; returns how many of them are kept."""
    kept = 0
    async with asyncio.timeout(20):
        while True:
            try:
                kept += (await wire.publish(bad)).rejected
            except grpc.aio.AioRpcError:
                return kept
            await asyncio.sleep(0.1)
