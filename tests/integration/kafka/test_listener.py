"""A topic's messages land in their model, each once, whatever happens to the process that reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg

import headrace
from headrace.v1 import batch_pb2
from support.kafka_topic import KafkaTopic
from support.service import ServiceProcess

Read = Callable[..., Any]
WAIT_S = 60.0
PRODUCED_AT = datetime(2013, 1, 1, tzinfo=UTC)


async def until(fact: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await fact():
            await asyncio.sleep(0.1)


async def consumed(database: asyncpg.Connection, messages: int) -> None:
    """Wait until the ledger says that so many messages are committed."""

    async def reached() -> bool:
        return await database.fetchval("SELECT coalesce(sum(last_seq), 0) FROM headrace.producers") >= messages

    await until(reached)


def register(service: ServiceProcess, identity: headrace.Identity = headrace.Identity.APPEND) -> None:
    """Register the model; APPEND has no unique index, so nothing but the ledger keeps repeats out."""
    schema = headrace.Schema(features={"x": "float64"}, labels={"late": "bool"})
    with headrace.connect(service.grpc) as client:
        client.register(schema, name="flights", version="v1", identity=identity)


def events(count: int, first: int = 0) -> list[dict[str, object]]:
    at = PRODUCED_AT.isoformat()
    return [{"event_id": f"e{number}", "event_time": at, "x": float(number)} for number in range(first, first + count)]


async def test_rows_land_with_what_their_message_knows_and_what_cannot_be_read_is_kept(
    read: Read, topic: KafkaTopic, database: asyncpg.Connection
) -> None:
    async with read(model_version="v7") as service:
        await asyncio.to_thread(register, service)
        topic.send([{"event_id": "own", "event_time": "2013-02-03T00:00:00Z", "x": 1.5}, {"x": 2.5}], partition=0)
        topic.send([[{"x": 3.5}, {"event_id": "b", "x": 4.5}], [], None], partition=1)
        topic.send([b"{half", {"event_id": "c", "x": "soon"}, b"7", {"x": 5.5}], partition=2)
        await consumed(database, 9)

        async def told() -> bool:
            return await asyncio.to_thread(topic.told, "readers") == 9

        await until(told)
        rows = await database.fetch("SELECT event_id, event_time, x, model_version FROM main.flights ORDER BY x")
        letters = await database.fetch("SELECT reason, message, payload FROM headrace.dead_letters ORDER BY id")
    assert [(row["event_id"], row["x"], row["model_version"]) for row in rows] == [
        ("own", 1.5, "v7"),
        ("inferences/0/1", 2.5, "v7"),
        ("inferences/1/0/0", 3.5, "v7"),
        ("b", 4.5, "v7"),
        ("inferences/2/3", 5.5, "v7"),
    ]
    assert {row["event_time"] for row in rows[1:]} == {PRODUCED_AT}
    assert [letter["reason"] for letter in letters] == ["UNDECODABLE", "WRONG_TYPE", "UNDECODABLE"]
    assert "inferences/2/0" in letters[0]["message"]
    assert batch_pb2.Batch.FromString(letters[0]["payload"]).json.rows == b"{half"


async def test_serialized_batches_of_any_kind_and_form_land(
    read: Read, topic: KafkaTopic, database: asyncpg.Connection
) -> None:
    row = batch_pb2.Row(event_id="a", values={"x": batch_pb2.Value(float64_value=1.5)})
    row.event_time.FromDatetime(PRODUCED_AT)
    label = batch_pb2.Row(event_id="a", values={"late": batch_pb2.Value(bool_value=True)})
    event_batch = batch_pb2.Batch(kind=1, rows=batch_pb2.RowBatch(rows=[row]))
    label_batch = batch_pb2.Batch(kind=2, model="flights", rows=batch_pb2.RowBatch(rows=[label]))
    async with read(form="batch") as service:
        await asyncio.to_thread(register, service)
        messages = [event_batch.SerializeToString(), label_batch.SerializeToString(), b"\xff\xff", b""]
        topic.send(messages, partition=0)
        await consumed(database, 4)
    assert await database.fetchval("SELECT late FROM main.flights_joined WHERE event_id = 'a'")
    reasons = await database.fetch("SELECT reason FROM headrace.dead_letters")
    assert [row["reason"] for row in reasons] == ["UNDECODABLE", "UNDECODABLE"]


async def test_every_message_is_stored_once_though_the_reader_is_killed_and_has_little_room(
    read: Read, topic: KafkaTopic, database: asyncpg.Connection
) -> None:
    rows = events(20_000)
    async with read(in_flight_bytes="20KiB") as service:
        await asyncio.to_thread(register, service)
        await asyncio.to_thread(topic.send, rows)
        await consumed(database, 3_000)
        service.kill()
        await service.ended()
    at_the_kill = await database.fetchval("SELECT count(*) FROM main.flights")
    async with read():
        await consumed(database, len(rows))
    assert at_the_kill >= 3_000
    assert await database.fetchval("SELECT count(*) FROM main.flights") == len(rows)
    assert await database.fetchval("SELECT count(DISTINCT event_id) FROM main.flights") == len(rows)


async def test_partitions_move_to_a_second_reader_and_back_and_no_message_is_lost_or_doubled(
    read: Read, topic: KafkaTopic, database: asyncpg.Connection
) -> None:
    async with read() as first:
        await asyncio.to_thread(register, first)
        await first.logged("kafka_partitions_opened")
        await asyncio.to_thread(topic.send, events(5_000))
        async with read() as second:
            opened = await second.logged("kafka_partitions_opened", WAIT_S)
            assert 0 < len(opened["places"]) < 4
            await asyncio.to_thread(topic.send, events(5_000, first=5_000))
            await consumed(database, 10_000)
        await asyncio.to_thread(topic.send, events(1_000, first=10_000))
        await consumed(database, 11_000)
    assert await database.fetchval("SELECT count(*) FROM main.flights") == 11_000
    assert await database.fetchval("SELECT count(DISTINCT event_id) FROM main.flights") == 11_000
