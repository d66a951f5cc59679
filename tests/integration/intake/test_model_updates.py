"""A model changes while streams are open: nobody has to reconnect, on this replica or on another."""

import asyncpg

from headrace.v1 import model_service_pb2
from support.service import ServiceProcess, running_service
from support.wire_client import WireClient, column, events, json_batch, wire_client


async def test_a_new_column_is_told_to_open_sessions_and_taken_at_once(
    client: WireClient, database: asyncpg.Connection
) -> None:
    model = await client.register()
    stream = client.stream()
    await stream.open()
    await stream.settle(json_batch(events(1), seq=1))
    update = model_service_pb2.UpdateModelRequest(name="flight_delay", add_columns=[column("gate", "STRING")])
    await client.models.UpdateModel(update)
    told = (await stream.read()).model_updated.model
    assert told.revision == model.revision + 1
    assert told.columns[-1].name == "gate"
    assert await stream.settle(json_batch(events(1, first=1, gate="B7"), seq=2)) is None
    assert await database.fetchval("SELECT gate FROM main.flight_delay WHERE event_id = 'e1'") == "B7"


async def test_another_replica_tells_its_sessions_too(
    service: ServiceProcess, client: WireClient, database_url: str
) -> None:
    await client.register()
    async with running_service(database_url) as other, wire_client(other.grpc) as elsewhere:
        stream = elsewhere.stream()
        await stream.open()
        await stream.settle(json_batch(events(1), seq=1))
        update = model_service_pb2.UpdateModelRequest(name="flight_delay", add_columns=[column("gate", "STRING")])
        await client.models.UpdateModel(update)
        assert (await stream.read()).model_updated.model.columns[-1].name == "gate"
        assert await stream.settle(json_batch(events(1, first=1, gate="B7"), seq=2)) is None
