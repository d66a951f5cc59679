"""What is only validated gets the verdicts of the real path, and leaves no trace in the database."""

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

import headrace
from headrace.v1 import batch_pb2, model_pb2, result_pb2
from headrace.v1 import ingest_service_pb2 as pb
from support.service import ServiceProcess
from support.wire_client import CALL_S, WireClient, events, json_batch

LEFT_BEHIND = """
SELECT (SELECT count(*) FROM headrace.producers), (SELECT count(*) FROM headrace.requests),
       (SELECT count(*) FROM headrace.dead_letters), (SELECT count(*) FROM headrace.batch_results),
       (SELECT count(*) FROM headrace.model_columns), (SELECT count(*) FROM headrace.models)
"""


async def validated(client: WireClient, batch: batch_pb2.Batch) -> result_pb2.BatchResult:
    response = await client.ingest.Publish(pb.PublishRequest(batch=batch, validate_only=True), timeout=CALL_S)
    assert response.validate_only
    return response.result


async def published(client: WireClient, batch: batch_pb2.Batch) -> result_pb2.BatchResult:
    return await client.publish(batch, request_id=str(uuid4()))


@pytest.mark.parametrize("identity", ["UNIQUE", "APPEND"])
async def test_events_get_the_verdicts_that_they_get_afterwards(
    client: WireClient, database: asyncpg.Connection, identity: str
) -> None:
    await client.register(identity=model_pb2.Identity.Value(f"IDENTITY_{identity}"))
    await published(client, json_batch(events(4)))
    rows = [
        *events(2),  # duplicates
        *events(1, first=2, carrier="UA"),  # a conflict
        *events(2, first=10),
        *events(1, first=10),  # a duplicate of a row beside it
        *events(1, first=11, carrier="UA"),  # a conflict with a row beside it
        *events(1, first=12, dep_delay="late"),  # rejected
    ]
    before = await database.fetchrow(LEFT_BEHIND)
    foreseen = await validated(client, json_batch(rows))
    assert await database.fetchrow(LEFT_BEHIND) == before
    assert await database.fetchval("SELECT count(*) FROM main.flight_delay") == 4
    assert foreseen == await published(client, json_batch(rows))
    if identity == "UNIQUE":
        assert (foreseen.stored, foreseen.duplicate, foreseen.conflict, foreseen.rejected) == (2, 3, 2, 1)


async def test_labels_get_the_verdicts_that_they_get_afterwards(client: WireClient) -> None:
    await client.register()
    await published(client, json_batch(events(2)))
    await published(client, json_batch([{"event_id": "e0", "late": True}], kind="LABELS"))
    labels: list[dict[str, Any]] = [
        {"event_id": "e0", "late": True},
        {"event_id": "e1", "late": False},
        {"event_id": "unknown", "late": False},
        {"event_id": "e1"},
    ]
    foreseen = await validated(client, json_batch(labels, kind="LABELS"))
    assert (foreseen.duplicate, foreseen.joined, foreseen.parked, foreseen.rejected) == (1, 1, 1, 1)
    assert foreseen == await published(client, json_batch(labels, kind="LABELS"))


async def test_no_model_is_made_or_grown(client: WireClient, database: asyncpg.Connection) -> None:
    await database.execute("UPDATE headrace.projects SET infer_models = true")
    before = await database.fetchrow(LEFT_BEHIND)
    assert (await validated(client, json_batch(events(3), model="unknown"))).stored == 3
    assert await database.fetchrow(LEFT_BEHIND) == before
    await client.register(unknown_columns=model_pb2.UNKNOWN_COLUMNS_ADD)
    standing = await database.fetchrow(LEFT_BEHIND)
    assert (await validated(client, json_batch(events(3, gate=7, terminal="A")))).stored == 3
    assert await database.fetchrow(LEFT_BEHIND) == standing
    assert (await published(client, json_batch(events(3, gate="7")))).stored == 3, "nothing of it is remembered"


async def test_rows_of_an_unknown_model_leave_no_letter(client: WireClient, database: asyncpg.Connection) -> None:
    result = await validated(client, json_batch(events(3), model="nobody"))
    assert (result.rejected, len(result.errors)) == (3, 1)
    assert await database.fetchval("SELECT count(*) FROM headrace.dead_letters") == 0


async def test_by_http(service: ServiceProcess, client: WireClient, database: asyncpg.Connection) -> None:
    await client.register()

    def post(flag: str) -> dict[str, Any]:
        request = urllib.request.Request(
            f"http://{service.http}/v1/models/flight_delay/events?validate_only={flag}",
            json.dumps(events(2)).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=CALL_S) as answer:
            told: dict[str, Any] = json.load(answer)
            return told

    told = await asyncio.to_thread(post, "true")
    assert (told["summary"], told["validate_only"]) == ("2 of 2 rows would be stored", True)
    assert await database.fetchval("SELECT count(*) FROM main.flight_delay") == 0
    with pytest.raises(urllib.error.HTTPError, match="400"):
        await asyncio.to_thread(post, "perhaps")


async def test_by_the_sdk(service: ServiceProcess, client: WireClient, database: asyncpg.Connection) -> None:
    await client.register()

    def validate() -> headrace.PublishResult:
        with headrace.connect(service.grpc) as sdk:
            model = sdk.get_model("flight_delay", "v1")
            rows = [event | {"late": True} for event in events(3)]
            model.publish(rows[:1])
            return model.validate([*rows, events(1, first=9, carrier=7)[0]])

    result = await asyncio.to_thread(validate)
    assert (result.rows, result.stored, result.duplicate, result.rejected) == (4, 2, 1, 1)
    assert result.duplicate_rows == [0]
    assert [(error.reason, error.rows) for error in result.errors] == [("WRONG_TYPE", [3])]
    assert result.labels is not None
    assert (result.labels.duplicate, result.labels.parked) == (1, 2)
    assert await database.fetchval("SELECT count(*) FROM main.flight_delay") == 1
