"""What the ledger forgets, and what a replay is told afterwards."""

from functools import partial
from uuid import uuid4

import asyncpg

from headrace.v1 import ingest_service_pb2 as pb
from headrace_server.copying.horizon import LedgerHorizon
from headrace_server.storage import pool
from support.service import running_service
from support.wire_client import events, json_batch, wire_client


async def test_a_replay_beyond_the_horizon_says_that_its_result_is_no_longer_known(database_url: str) -> None:
    producer, request_id = str(uuid4()), str(uuid4())
    bad = [*events(2), {"event_id": "x", "event_time": 1_356_998_400, "dep_delay": "soon"}]
    async with running_service(database_url) as service, wire_client(service.grpc) as client:
        await client.register()
        await client.publish(json_batch(bad), request_id)
        stream = client.stream()
        await stream.open(producer)
        await stream.settle(json_batch(bad, seq=1))
        connection = await asyncpg.connect(database_url)
        await connection.execute("UPDATE headrace.batch_results SET created_at = now() - interval '8 days'")
        await connection.execute("UPDATE headrace.requests SET created_at = now() - interval '2 days'")
        await connection.execute(
            "INSERT INTO headrace.producers (project, producer_id, last_seen_at)"
            " VALUES ('main', $1, now() - interval '31 days')",
            uuid4(),
        )
        await connection.execute(
            "INSERT INTO headrace.batch_parts VALUES ('main', $1, 1, 0, '', '', '', now() - interval '31 days')",
            uuid4(),
        )
        await connection.execute(
            "UPDATE headrace.dead_letters SET created_at = now() - interval '31 days' WHERE seq = 1"
        )

        forgotten = await LedgerHorizon(partial(pool.connect, database_url, instance="test")).forget()

        assert forgotten == {"results": 1, "requests": 1, "producers": 1, "parts": 1, "letters": 1}
        again = client.stream()
        await again.open(producer)
        result = await again.settle(json_batch(bad, seq=1))
        assert result.result_expired
        assert (result.replayed, result.stored) == (True, 0)
        assert await connection.fetchval("SELECT count(*) FROM main.flight_delay") == 2
        held = await connection.fetchrow("SELECT sum(payload_bytes) AS held, max(seq) FROM headrace.dead_letters")
        assert tuple(held) == (await connection.fetchval("SELECT bytes FROM headrace.dead_letter_bytes"), 0)
        await connection.close()


async def test_a_replay_of_what_the_client_had_been_told_does_not_say_that_all_was_stored(database_url: str) -> None:
    bad = [{"event_id": "x", "event_time": 1_356_998_400, "dep_delay": "soon"}]
    async with running_service(database_url) as service, wire_client(service.grpc) as client:
        await client.register()
        producer = str(uuid4())
        stream = client.stream()
        await stream.open(producer)
        assert (await stream.settle(json_batch(bad, seq=1))).rejected == 1
        await stream.send(pb.IngestRequest(report=pb.Report(results_through=1)))
        await stream.settle(json_batch(bad, seq=2))
        # The process is gone before its spool knows; another one sends what is in there.
        again = client.stream()
        await again.open(producer)
        result = await again.settle(json_batch(bad, seq=1))
        assert (result.replayed, result.result_expired, result.stored) == (True, True, 0)


async def test_results_that_the_client_has_are_forgotten(database_url: str) -> None:
    bad = [{"event_id": "x", "event_time": 1_356_998_400, "dep_delay": "soon"}]
    async with running_service(database_url) as service, wire_client(service.grpc) as client:
        await client.register()
        stream = client.stream()
        producer = str(uuid4())
        await stream.open(producer)
        for seq in (1, 2, 3):
            await stream.settle(json_batch(bad, seq=seq))
        connection = await asyncpg.connect(database_url)
        again = client.stream()
        await again.open(producer, results_through=2, next_seq=4)
        assert [row["seq"] for row in await connection.fetch("SELECT seq FROM headrace.batch_results")] == [3]
        await connection.close()
