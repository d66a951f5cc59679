"""Batches that touch more chunks than one transaction may lock."""

import asyncpg
import pytest

from headrace.v1 import model_pb2
from headrace.v1.error_reason_pb2 import ErrorReason
from support.wire_client import WireClient, json_batch, rows_of

WEEK_S = 7 * 24 * 3600


def weekly(count: int, first_s: int) -> list[dict[str, object]]:
    return [{"event_id": f"w{week}", "event_time": first_s + week * WEEK_S, "dep_delay": 1.0} for week in range(count)]


async def test_a_batch_over_many_weeks_is_stored_whole(client: WireClient, database: asyncpg.Connection) -> None:
    await client.register(identity=model_pb2.IDENTITY_APPEND)
    stream = client.stream()
    await stream.open()
    # 200 weeks from 2020 on, each twice: once alone, and once beside its neighbours.
    assert await stream.settle(json_batch(weekly(200, 1_577_836_800) * 2, seq=1)) is None
    assert await database.fetchval("SELECT count(*) FROM main.flight_delay") == 400
    assert await database.fetchval("SELECT count(*) FROM headrace.batch_parts") == 0
    assert await stream.settle(json_batch(weekly(60, 1_577_836_800), seq=2)) is None


@pytest.mark.parametrize("identity", [model_pb2.IDENTITY_UNIQUE, model_pb2.IDENTITY_APPEND])
async def test_a_wide_batch_sent_again_adds_no_row(
    client: WireClient, database: asyncpg.Connection, identity: model_pb2.Identity.ValueType
) -> None:
    await client.register(identity=identity)
    rows = weekly(100, 1_577_836_800)
    rows[50]["dep_delay"] = "soon"
    request_id = "6f9619ff-8b86-4d11-b42d-00c04fc964ff"
    first = await client.publish(json_batch(rows), request_id)
    assert (first.stored, first.rejected) == (99, 1)
    again = await client.publish(json_batch(rows), request_id)
    assert again.replayed
    assert (again.stored, again.rejected) == (99, 1)
    assert await database.fetchval("SELECT count(*) FROM main.flight_delay") == 99


@pytest.mark.timeout(240)
async def test_rows_over_five_thousand_weeks_meet_the_chunk_limit_by_name(
    client: WireClient, database: asyncpg.Connection
) -> None:
    model = model_pb2.Model(name="flight_delay")
    model.earliest_event_time.FromJsonString("1900-01-01T00:00:00Z")
    await client.register(earliest_event_time=model.earliest_event_time)
    stream = client.stream(timeout_s=220)  # it takes a database as long as 4,000 tables take
    await stream.open()
    result = await stream.settle(json_batch(weekly(5_000, -1_400_000_000), seq=1))
    assert result.stored == 4_000
    (errors,) = result.errors
    assert errors.reason == ErrorReason.ERROR_REASON_CHUNK_LIMIT
    assert rows_of(errors.rows) == list(range(4_000, 5_000))
    assert await database.fetchval("SELECT count(*) FROM headrace.dead_letters") == 1_000
