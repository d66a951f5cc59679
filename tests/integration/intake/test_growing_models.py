"""Models made from a first batch, and models that grow with their batches."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from headrace.v1 import model_pb2
from headrace.v1.error_reason_pb2 import ErrorReason
from support.service import ServiceProcess, running_service
from support.wire_client import WireClient, column, events, json_batch, rows_of


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[ServiceProcess]:
    """A service that makes models from their first batches."""
    async with running_service(database_url, HEADRACE_MODELS_INFER="true") as service:
        yield service


async def types_of(database: asyncpg.Connection, table: str) -> dict[str, str]:
    rows = await database.fetch(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'main' AND table_name = $1",
        table,
    )
    return {row["column_name"]: row["data_type"] for row in rows}


async def test_a_first_batch_makes_its_model_and_later_ones_add_to_it(
    client: WireClient, database: asyncpg.Connection
) -> None:
    stream = client.stream()
    await stream.open()
    first = events(3, **{"Carrier Name": "UA", "stops": 0, "path": [0.5, 1.5], "detail": {"gate": 7}, "later": None})
    assert await stream.settle(json_batch(first, seq=1, model="flights")) is None
    assert await stream.settle(json_batch(events(3, first=3, later=True), seq=2, model="flights")) is None
    types = await types_of(database, "flights")
    expected = {
        "carrier_name": "text",
        "stops": "double precision",
        "path": "ARRAY",
        "detail": "jsonb",
        "dep_delay": "double precision",
        "later": "boolean",
    }
    assert {name: types[name] for name in expected} == expected
    assert await database.fetchval("SELECT count(*) FROM main.flights WHERE later") == 3
    assert await database.fetchval("SELECT detail->>'gate' FROM main.flights WHERE event_id = 'e0'") == "7"


async def test_a_column_that_cannot_be_added_keeps_no_other_out(
    client: WireClient, database: asyncpg.Connection
) -> None:
    await client.register(
        "flights", columns=[column("dep_delay", "FLOAT64")], unknown_columns=model_pb2.UNKNOWN_COLUMNS_ADD
    )
    rows = events(4)
    rows[0] |= {"wind": 3.5, "gust": 9}
    rows[1] |= {"wind": 2.5, "✈": "no letter and no digit"}
    rows[2] |= {"sky": "clear"}
    result = await client.publish(json_batch(rows, model="flights"))
    assert (result.stored, result.rejected) == (3, 1)
    (errors,) = result.errors
    assert (errors.reason, errors.column, rows_of(errors.rows)) == (ErrorReason.ERROR_REASON_UNKNOWN_COLUMN, "✈", [1])
    assert {"wind", "gust", "sky"} <= set(await types_of(database, "flights"))
    assert await database.fetchval("SELECT sum(wind) FROM main.flights") == 3.5


async def test_a_batch_that_can_make_no_model_says_why(client: WireClient, database: asyncpg.Connection) -> None:
    result = await client.publish(json_batch(events(2), model="pg_flights"))
    (errors,) = result.errors
    assert (errors.reason, rows_of(errors.rows)) == (ErrorReason.ERROR_REASON_UNKNOWN_MODEL, [0, 1])
    assert "reserved" in errors.message
    assert await database.fetchval("SELECT count(*) FROM headrace.dead_letters") == 2
