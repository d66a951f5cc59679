"""A replica that is frozen in the middle of its COPY: another one takes its producers, and nothing is stored twice."""

from __future__ import annotations

import asyncio
import signal
import time
from uuid import uuid4

import asyncpg
import grpc

from support.service import running_service
from support.wire_client import events, json_batch, wire_client

ROWS = 10_000
TAKEN_OVER_WITHIN_S = 15.0


async def test_another_replica_takes_the_producers_of_a_frozen_one(
    database_url: str, database: asyncpg.Connection
) -> None:
    # More than a socket's buffers hold, so that PostgreSQL waits for the rest of it.
    batch = json_batch(events(ROWS, note="x" * 200), seq=1)
    producer, request_id = str(uuid4()), str(uuid4())
    async with (
        running_service(database_url) as frozen,
        running_service(database_url) as other,
        wire_client(frozen.grpc) as client,
        wire_client(other.grpc) as elsewhere,
    ):
        await client.register()
        stream = client.stream()
        await stream.open(producer)
        async with database.transaction():
            await database.execute("LOCK TABLE main.flight_delay IN SHARE MODE")
            await stream.batch(batch)
            call = asyncio.create_task(client.publish(json_batch(events(3, first=ROWS)), request_id))
            async with asyncio.timeout(10):
                while not await database.fetchval(
                    "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'main.flight_delay'::regclass"
                ):
                    await asyncio.sleep(0.01)
            frozen.signal(signal.SIGSTOP)
        began = time.monotonic()
        try:
            taken_over = elsewhere.stream()
            opened = await taken_over.open(producer)
            assert (opened.last_committed_seq, opened.epoch) == (0, 2)
            assert await taken_over.settle(batch) is None
            assert time.monotonic() - began < TAKEN_OVER_WITHIN_S
            assert (await elsewhere.publish(json_batch(events(3, first=ROWS)), request_id)).stored == 3
            assert (await other.logged("frozen_replica_terminated"))["application"].startswith("headrace/")
        finally:
            frozen.signal(signal.SIGCONT)
        # Back again, it finds that it has been taken over, and adds nothing.
        code, reason, _ = await stream.end()
        assert (code, reason) == (grpc.StatusCode.ABORTED, "FENCED")
        assert (await call).stored == 3
    assert await database.fetchval("SELECT count(*) FROM main.flight_delay") == ROWS + 3
    assert await database.fetchval("SELECT count(DISTINCT event_id) FROM main.flight_delay") == ROWS + 3
