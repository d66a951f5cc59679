"""What a caller says of itself: forged projects, producers and models reach nobody else's rows, and tell nothing."""

from __future__ import annotations

import random
from collections import Counter
from uuid import uuid4

import asyncpg
import grpc

from headrace.v1 import ingest_service_pb2 as pb
from integration.access.conftest import MakeKey
from support.service import ServiceProcess
from support.wire_client import CALL_S, WireClient, events, json_batch, told, wire_client

REQUESTS = 1_000  # docs/security.md has the figures of a run with 10,000
PROJECTS = ("main", "MAIN", "main ", "headrace", "public", "nowhere", "other.main", "main\0", "")
MODELS = ("flight_delay", "main.flight_delay", "../main/flight_delay", 'x"; DROP SCHEMA main; --', "secret_model")


async def test_forged_requests_reach_no_row_of_another_project(
    service: ServiceProcess, make_key: MakeKey, database: asyncpg.Connection
) -> None:
    owner_key, thief_key = await make_key(), await make_key(project="other")
    chance = random.Random(20130101)
    async with wire_client(service.grpc, owner_key) as owner, wire_client(service.grpc, thief_key) as thief:
        await owner.register()
        producer = str(uuid4())
        stream = owner.stream(timeout_s=300)
        assert (await stream.open(producer)).project == "main"
        for seq in (1, 2, 3):
            assert await stream.settle(json_batch(events(10, first=10 * seq), seq=seq)) is None
        before = await fingerprint(database)

        answers: Counter[str] = Counter()
        for number in range(REQUESTS):
            project, model = chance.choice(PROJECTS), chance.choice(MODELS)
            rows = events(1, first=chance.randrange(60), dep_delay=-1.0)
            if number % 10 == 0:
                answers[await opened_with(thief, producer, project)] += 1
                continue
            request = pb.PublishRequest(request_id=str(uuid4()), project=project, batch=json_batch(rows, model=model))
            answers[await published(thief, request)] += 1

        assert await fingerprint(database) == before
        assert answers.keys() <= {"PROJECT_DENIED", "opened at 0", "UNKNOWN_MODEL"}, answers
        assert min(answers.values()) > 0
        assert len(answers) == 3
        # The owner's session goes on undisturbed: its producer_id in another project is another producer.
        assert await stream.settle(json_batch(events(10, first=40), seq=4)) is None
    assert await database.fetchval("SELECT count(*) FROM headrace.producers WHERE project = 'main'") == 1
    print(f"{REQUESTS} forged requests: {dict(answers)}")


async def opened_with(thief: WireClient, producer_id: str, project: str) -> str:
    """Open a session with somebody else's producer_id; what the ledger tells of it."""
    stream = thief.stream()
    await stream.send(pb.IngestRequest(open=pb.Open(producer_id=producer_id, next_seq=4, project=project)))
    message = await stream.call.read() if project == "" else None
    if message is None or message is grpc.aio.EOF:
        return (await stream.end())[1]
    stream.call.cancel()
    assert message.opened.project == "other"
    return f"opened at {message.opened.last_committed_seq}"


async def published(thief: WireClient, request: pb.PublishRequest) -> str:
    try:
        result = (await thief.ingest.Publish(request, timeout=CALL_S, metadata=thief.metadata)).result
    except grpc.aio.AioRpcError as error:
        return told(error.trailing_metadata())[0]
    assert (result.stored, result.rejected) == (0, 1)
    return "UNKNOWN_MODEL"


async def fingerprint(database: asyncpg.Connection) -> tuple[object, ...]:
    """All that is the owner's, as one value."""
    return (
        await database.fetchval("SELECT md5(string_agg(e::text, '' ORDER BY event_id)) FROM main.flight_delay e"),
        await database.fetch("SELECT producer_id, epoch, last_seq FROM headrace.producers WHERE project = 'main'"),
        await database.fetchval("SELECT count(*) FROM headrace.dead_letters WHERE project = 'main'"),
        await database.fetchval("SELECT count(*) FROM headrace.requests WHERE project = 'main'"),
        await database.fetchval("SELECT count(*) FROM headrace.models"),
    )
