"""Events are deleted with all that belongs to them, and nothing else is; a slip deletes nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_status import rpc_status

import headrace
from headrace.v1 import deletion_service_pb2 as pb
from headrace_server.jobs.job import JobState
from headrace_server.models.registry import Registry
from support.write_path import EVENTS, LABELS, WritePath

START = datetime(2026, 1, 8, tzinfo=UTC)  # chunks of a week begin on Thursdays
DAY = timedelta(days=1)


def flight(day: int) -> dict[str, Any]:
    return {"event_id": f"f{day}", "event_time": START + day * DAY, "score": 0.5}


def late(day: int) -> dict[str, Any]:
    return {"event_id": f"f{day}", "event_time": START + day * DAY, "late": True}


def at(day: int) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(START + day * DAY)
    return stamp


async def stored(connection: asyncpg.Connection, table: str = "flight_delay") -> list[str]:
    return [
        row[0] for row in await connection.fetch(f"SELECT event_id FROM main.{table} ORDER BY event_time, event_id")
    ]


async def test_events_are_deleted_by_id_with_their_labels_and_what_waits(
    service: WritePath, deleting: Any, connection: asyncpg.Connection
) -> None:
    producer = await service.producer()
    flights = [flight(day) for day in range(20)]
    await service.send(EVENTS, flights, origin=producer, seq=1)
    await service.send(LABELS, [late(day) for day in range(20)] + [{"event_id": "f99", "late": True}])
    job = await deleting.ended(await deleting.begin(event_ids=["f1", "f12", "f99", "nobody"]))
    assert job.state is JobState.SUCCEEDED
    assert job.result is not None
    assert job.result["deleted"] == {"flight_delay": 2, "flight_delay_labels": 2, "flight_delay_labels_inbox": 1}
    assert (job.result["event_ids"], job.result["dropped_chunks"], job.progress_rows) == (4, 0, 5)
    left = [f"f{day}" for day in range(20) if day not in {1, 12}]
    assert await stored(connection) == left
    assert await stored(connection, "flight_delay_labels") == left
    assert await stored(connection, "flight_delay_labels_inbox") == []
    # The producer sends its batch again, since the ack was lost: the ledger knows it.
    again = await service.send(EVENTS, flights, origin=producer, seq=1)
    assert again.replayed
    assert await stored(connection) == left


async def test_a_time_is_deleted_whole_chunks_by_dropping_them(
    service: WritePath, deleting: Any, connection: asyncpg.Connection
) -> None:
    await service.send(EVENTS, [flight(day) for day in range(28)])
    await service.send(LABELS, [late(day) for day in range(28)])
    await service.send(LABELS, [{**late(10), "event_id": "waits"}, {"event_id": "waits without a time", "late": True}])
    await connection.execute("DELETE FROM headrace.touched_hours")
    job = await deleting.ended(await deleting.begin(start_time=at(3), end_time=at(17)))
    assert job.result is not None
    assert job.result["deleted"] == {"flight_delay": 14, "flight_delay_labels": 14, "flight_delay_labels_inbox": 1}
    assert job.result["dropped_chunks"] == 2  # the events' second week, and the labels'
    assert job.result["end_time"] == "2026-01-25T00:00:00+00:00"
    touched = await connection.fetch(
        "SELECT DISTINCT day FROM headrace.touched_hours WHERE kind = 'EVENTS' ORDER BY day"
    )
    assert [row[0] for row in touched] == [(START + day * DAY).date() for day in range(3, 17)]  # roll-ups follow
    left = [f"f{day}" for day in range(28) if not 3 <= day < 17]
    assert await stored(connection) == left
    assert await stored(connection, "flight_delay_labels") == left
    assert await stored(connection, "flight_delay_labels_inbox") == ["waits without a time"]
    await service.send(EVENTS, [flight(10)])  # a new batch: it is stored
    assert "f10" in await stored(connection)


async def test_a_label_that_was_on_its_way_beside_its_event_goes_with_it(
    service: WritePath, deleting: Any, connection: asyncpg.Connection
) -> None:
    await service.send(EVENTS, [flight(0), flight(1)])
    async with connection.transaction():  # a label's transaction that has seen its event
        await connection.execute(
            "INSERT INTO main.flight_delay_labels (event_id, event_time, recorded_time) VALUES ($1, $2, now())",
            "f0",
            START,
        )
        job_id = await deleting.begin(event_ids=["f0"])
        async with asyncio.timeout(30):
            while await stored(deleting.connection) != ["f1"]:
                await asyncio.sleep(0.02)
        with pytest.raises(TimeoutError):
            await deleting.ended(job_id, timeout_s=0.5)
    job = await deleting.ended(job_id)
    assert job.result is not None
    assert job.result["deleted"]["flight_delay_labels"] == 1
    assert job.result["others_ended"]
    assert await stored(connection, "flight_delay_labels") == []


async def test_a_slip_deletes_nothing(service: WritePath, deleting: Any, connection: asyncpg.Connection) -> None:
    await service.send(EVENTS, [flight(day) for day in range(3)])
    said = {"model": "flight_delay", "confirm_model": "flight_delay"}
    slips = [
        ("DELETE_EVERYTHING", {**said}),
        ("DELETE_EVERYTHING", {**said, "start_time": at(0)}),
        ("DELETE_EVERYTHING", {**said, "end_time": at(1)}),
        ("DELETE_EVERYTHING", {**said, "start_time": at(0), "end_time": at(3)}),
        ("DELETE_EVERYTHING", {**said, "start_time": at(-9_000), "end_time": at(900_000)}),
        ("TIME_RANGE_INVALID", {**said, "start_time": at(0), "end_time": Timestamp(seconds=2**60)}),
        ("TIME_RANGE_INVALID", {**said, "start_time": at(2), "end_time": at(1)}),
        ("TIME_RANGE_INVALID", {**said, "start_time": at(2), "end_time": at(2)}),
        ("DELETE_NOT_CONFIRMED", {"model": "flight_delay", "event_ids": ["f0"]}),
        ("DELETE_NOT_CONFIRMED", {**said, "confirm_model": "flight_delays", "event_ids": ["f0"]}),
        ("EVENT_IDS_INVALID", {**said, "event_ids": ["f0"], "start_time": at(0), "end_time": at(1)}),
        ("EVENT_IDS_INVALID", {**said, "event_ids": [str(n) for n in range(10_001)]}),
        ("MODEL_NOT_FOUND", {"model": "none", "confirm_model": "none", "event_ids": ["f0"]}),
    ]
    for reason, wanted in slips:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await deleting.stub.DeleteEvents(pb.DeleteEventsRequest(**wanted))
        info = error_details_pb2.ErrorInfo()
        assert any(detail.Unpack(info) for detail in rpc_status.from_call(caught.value).details)
        assert info.reason == reason, wanted
    assert len(await stored(connection)) == 3
    assert await connection.fetchval("SELECT count(*) FROM headrace.jobs") == 0


async def test_a_delete_that_finds_nothing_says_so(registry: Registry, deleting: Any) -> None:
    job = await deleting.ended(await deleting.begin(start_time=at(0), end_time=at(9_000)))
    assert job.result is not None
    assert set(job.result["deleted"].values()) == {0}


def test_the_sdk_refuses_what_may_be_meant_otherwise() -> None:
    with headrace.connect("localhost:1", settings=headrace.Settings(call_timeout_s=1)) as client:
        model = client.model("m")
        for wanted in (
            {},
            {"event_ids": ["a"], "start": START},
            {"start": START},
            {"event_ids": []},
            {"event_ids": ["a"] * 10_001},
            {"start": datetime(2026, 1, 1), "end": START},  # noqa: DTZ001 -- that is the point
            {"start": START, "end": "2026-02-01T00:00:00"},
            {"start": START, "end": (START + DAY).date()},
        ):
            with pytest.raises(headrace.InvalidArgumentError):
                model.delete_events(**wanted, confirm="m")  # type: ignore[arg-type]
