"""Reading events back: by id, by time and filters, as of a moment, within bounds."""

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

from headrace.encoding.read_back import rows_of
from headrace.v1 import batch_pb2, model_pb2
from headrace.v1 import query_service_pb2 as pb
from headrace_server.errors import QueryTooSlowError
from headrace_server.models.column_types import ValueType
from headrace_server.models.registry import Registry
from headrace_server.models.schema import EventIdType
from support.model_definitions import feature, flights, label
from support.write_path import EVENTS, LABELS, WritePath

START = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = timedelta(days=7)


def flight(number: int, **more: object) -> dict[str, Any]:
    """Flight `number`, of the week of its number."""
    return {"event_id": f"f{number}", "event_time": START + number * WEEK, "dep_delay": float(number), **more}


def at(time: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


async def read(stub: Any, **wanted: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    columns: list[pb.ResultColumn] = []
    async for response in stub.QueryEvents(pb.QueryEventsRequest(model="flight_delay", **wanted)):
        columns = columns or list(response.columns)
        rows += rows_of(columns, response.rows)
    return rows


async def ids(stub: Any, **wanted: Any) -> list[str]:
    return [row["event_id"] for row in await read(stub, **wanted)]


async def failing(call: Any) -> tuple[grpc.StatusCode, str, bool]:
    """Code, reason and whether it may be tried again, of a call's error."""

    async def ended() -> None:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ended()
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    details = rpc_status.from_call(caught.value).details
    found = [detail.Unpack(info) or detail.Unpack(retry) for detail in details]
    return caught.value.code(), info.reason, retry.HasField("retry_delay") and any(found)


async def test_events_come_in_order_of_time_over_all_chunks_with_their_latest_labels(
    service: WritePath, queries: Any
) -> None:
    await service.send(EVENTS, [flight(number, score=number / 10) for number in (3, 1, 2, 0)])
    await service.send(LABELS, [{"event_id": "f1", "event_time": START + WEEK, "late": True}])
    await service.send(LABELS, [{"event_id": "f1", "event_time": START + WEEK, "late": False, "source": "desk"}])
    rows = await read(queries.stub)
    assert [row["event_id"] for row in rows] == ["f0", "f1", "f2", "f3"]
    assert [row["late"] for row in rows] == [None, False, None, None]
    assert rows[1]["event_time"] == START + WEEK
    assert rows[1]["score"] == 0.1
    assert rows[1]["recorded_time"] is not None
    assert await ids(queries.stub, order=pb.EVENT_ORDER_NEWEST_FIRST, limit=3) == ["f3", "f2", "f1"]


async def test_the_window_is_half_open(service: WritePath, queries: Any) -> None:
    await service.send(EVENTS, [flight(number) for number in range(4)])
    assert await ids(queries.stub, start_time=at(START + WEEK), end_time=at(START + 3 * WEEK)) == ["f1", "f2"]


async def test_filters_hold_all_together(service: WritePath, queries: Any) -> None:
    await service.send(
        EVENTS,
        [
            flight(0, variant="canary", tags=["a", "b"], source="web", model_version="v1"),
            flight(1, variant="canary", tags=["b"], source="web"),
            flight(2, variant="main", tags=["a"], source="app", model_version="v2"),
        ],
    )
    await service.send(LABELS, [{"event_id": "f1", "event_time": START + WEEK, "late": True, "source": "desk"}])
    assert await ids(queries.stub, variant="canary") == ["f0", "f1"]
    assert await ids(queries.stub, tag="a") == ["f0", "f2"]
    assert await ids(queries.stub, source="web", tag="a") == ["f0"]
    assert await ids(queries.stub, model_version="v2") == ["f2"]
    assert await ids(queries.stub, has_label=True) == ["f1"]
    assert await ids(queries.stub, has_label=False) == ["f0", "f2"]
    assert await ids(queries.stub, has_label=True, label_source="desk") == ["f1"]
    assert await ids(queries.stub, has_label=True, label_source="crowd") == []
    assert await ids(queries.stub, source="'; DROP TABLE main.flight_delay; --") == []
    assert await ids(queries.stub, source="nul\0") == []


async def test_columns_are_chosen_by_any_of_their_names(service: WritePath, registry: Registry, queries: Any) -> None:
    await registry.update("main", "flight_delay", [feature("Dep. Hour", ValueType.INT64), feature("source")])
    await service.send(EVENTS, [flight(0, **{"Dep. Hour": 7, "f_source": 0.5})])
    assert await read(queries.stub, columns=["dep_hour", "f_source"]) == [
        {"event_id": "f0", "event_time": START, "Dep. Hour": 7, "f_source": 0.5}
    ]
    assert (await read(queries.stub, columns=["Dep. Hour"]))[0]["Dep. Hour"] == 7
    call = queries.stub.QueryEvents(pb.QueryEventsRequest(model="flight_delay", columns=["nothing"]))
    assert await failing(call) == (grpc.StatusCode.INVALID_ARGUMENT, "UNKNOWN_COLUMN", False)


async def test_every_type_comes_back_as_it_was_sent(service: WritePath, registry: Registry, queries: Any) -> None:
    more = {
        "whole": (ValueType.INT64, 2**60),
        "text": (ValueType.STRING, "Zoë"),
        "carrier": (ValueType.CATEGORY, "UA"),
        "diverted": (ValueType.BOOL, False),
        "booked": (ValueType.TIMESTAMP, datetime(2025, 12, 31, 1, 2, 3, 456_789, tzinfo=UTC)),
        "embedding": (ValueType.VECTOR, [0.5, -1.0, 2.0]),
        "stops": (ValueType.STRING_LIST, ["é", "", "b"]),
        "raw": (ValueType.JSON, {"a": [1, None, {"b": "ü"}]}),
    }
    columns = [feature(name, type_, 3 if type_ is ValueType.VECTOR else 0) for name, (type_, _) in more.items()]
    await registry.update("main", "flight_delay", columns)
    sent = {name: value for name, (_, value) in more.items()}
    await service.send(EVENTS, [flight(0, **sent, metadata={"k": 1}), flight(1), flight(2, **sent)])
    for number, row in enumerate(await read(queries.stub)):
        assert {name: row[name] for name in sent} == (dict.fromkeys(sent) if number == 1 else sent)
    assert (await read(queries.stub))[0]["metadata"] == {"k": 1}


async def test_a_model_without_events_still_says_its_columns(registry: Registry, queries: Any) -> None:
    responses = [one async for one in queries.stub.QueryEvents(pb.QueryEventsRequest(model="FLIGHT delay"))]
    assert [(column.name, column.kind) for column in responses[0].columns][-3:] == [
        ("dep_delay", model_pb2.COLUMN_KIND_FEATURE),
        ("score", model_pb2.COLUMN_KIND_PREDICTION),
        ("late", model_pb2.COLUMN_KIND_LABEL),
    ]
    assert sum(response.rows.row_count for response in responses) == 0


async def test_many_events_come_in_parts_and_from_one_snapshot(service: WritePath, queries: Any) -> None:
    await service.send(EVENTS, [flight(number % 3) | {"event_id": f"{number:05}"} for number in range(12_000)])
    call = aiter(queries.stub.QueryEvents(pb.QueryEventsRequest(model="flight_delay")))
    first = await anext(call)
    await service.send(EVENTS, [flight(2) | {"event_id": "later"}])
    parts = [first.rows.row_count, *[part.rows.row_count async for part in call]]
    assert sum(parts) == 12_000
    assert max(parts) <= 5_000
    assert len(parts) > 3


async def test_labels_are_read_as_they_were_known(
    service: WritePath, connection: asyncpg.Connection, queries: Any
) -> None:
    await service.send(EVENTS, [flight(0)])
    label_row = {"event_id": "f0", "event_time": START}
    await service.send(LABELS, [{**label_row, "late": True}])
    between = await connection.fetchval("SELECT clock_timestamp()")
    await service.send(LABELS, [{**label_row, "late": False, "source": "desk"}])
    assert [row["late"] for row in await read(queries.stub, as_of=at(between))] == [True]
    assert [row["late"] for row in await read(queries.stub)] == [False]
    assert await read(queries.stub, as_of=at(START)) == []  # the event had not come
    asked = pb.GetEventsRequest(model="flight_delay", event_ids=["f0"], as_of=at(between))
    assert (await queries.stub.GetEvents(asked)).late[0].rows.row_count == 1


async def test_an_event_is_read_by_id_with_every_revision_of_its_labels(service: WritePath, queries: Any) -> None:
    await service.send(EVENTS, [flight(0), flight(1), flight(1) | {"event_time": START + 2 * WEEK}])
    await service.send(LABELS, [{"event_id": "f0", "late": True, "label_time": START}])
    await service.send(LABELS, [{"event_id": "f0", "late": False, "label_time": START + WEEK}])
    response = await queries.stub.GetEvents(pb.GetEventsRequest(model="flight_delay", event_ids=["f0", "nobody", "f1"]))
    rows = list(rows_of(response.columns, response.events))
    assert [(row["event_id"], row["late"]) for row in rows] == [("f0", False), ("f1", None), ("f1", None)]
    (history,) = response.late
    assert history.kind == batch_pb2.RECORD_KIND_LABELS
    assert [row["late"] for row in rows_of(history.columns, history.rows)] == [True, False]
    of_time = pb.GetEventsRequest(model="flight_delay", event_ids=["f1"], event_time=at(START + WEEK))
    assert (await queries.stub.GetEvents(of_time)).events.row_count == 1


async def test_an_id_without_an_event_is_named_with_what_waits_for_it(service: WritePath, queries: Any) -> None:
    await service.send(LABELS, [{"event_id": "later", "late": True}])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await queries.stub.GetEvents(pb.GetEventsRequest(model="flight_delay", event_ids=["later"]))
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in rpc_status.from_call(caught.value).details)
    assert (info.reason, info.metadata["waiting_rows"]) == ("EVENT_NOT_FOUND", "1")


async def test_ids_of_a_model_of_uuids_are_read_as_texts(service: WritePath, registry: Registry, queries: Any) -> None:
    await registry.register("main", flights(label("late"), name="uuids", event_id_type=EventIdType.UUID))
    event_id = "0190163d-8694-739b-aea5-966c26f8ad91"
    await service.send(EVENTS, [{**flight(0), "event_id": event_id}], model="uuids")
    response = await queries.stub.GetEvents(pb.GetEventsRequest(model="uuids", event_ids=[event_id.upper()]))
    assert [row["event_id"] for row in rows_of(response.columns, response.events)] == [event_id]
    call = queries.stub.GetEvents(pb.GetEventsRequest(model="uuids", event_ids=["f0"]))
    assert await failing(call) == (grpc.StatusCode.INVALID_ARGUMENT, "EVENT_ID_INVALID", False)


async def test_what_cannot_be_read_has_its_named_error(registry: Registry, queries: Any) -> None:
    model = "flight_delay"
    calls = [
        ("NOT_FOUND MODEL_NOT_FOUND", queries.stub.GetEvents(pb.GetEventsRequest(model="none", event_ids=["a"]))),
        ("NOT_FOUND MODEL_NOT_FOUND", queries.stub.QueryEvents(pb.QueryEventsRequest(model="none"))),
        ("NOT_FOUND MODEL_NOT_FOUND", queries.stub.GetModelStatistics(pb.GetModelStatisticsRequest(model="none"))),
        ("INVALID_ARGUMENT EVENT_IDS_INVALID", queries.stub.GetEvents(pb.GetEventsRequest(model=model))),
        (
            "INVALID_ARGUMENT EVENT_IDS_INVALID",
            queries.stub.GetEvents(pb.GetEventsRequest(model=model, event_ids=map(str, range(1_001)))),
        ),
        (
            "NOT_FOUND EVENT_NOT_FOUND",
            queries.stub.GetEvents(pb.GetEventsRequest(model=model, event_ids=["\0", "nobody"])),
        ),
        (
            "INVALID_ARGUMENT TIME_RANGE_INVALID",
            queries.stub.QueryEvents(pb.QueryEventsRequest(model=model, start_time=at(START), end_time=at(START))),
        ),
        (
            "INVALID_ARGUMENT TIME_RANGE_INVALID",
            queries.stub.QueryEvents(pb.QueryEventsRequest(model=model, start_time=Timestamp(seconds=2**60))),
        ),
    ]
    for told, call in calls:
        code, reason = told.split()
        assert await failing(call) == (grpc.StatusCode[code], reason, False)


async def test_rows_too_heavy_for_one_answer_are_told_so(service: WritePath, registry: Registry, queries: Any) -> None:
    await registry.update("main", "flight_delay", [feature(f"t{n}", ValueType.STRING) for n in range(20)])
    texts = {f"t{n}": "x" * 60_000 for n in range(20)}
    await service.send(EVENTS, [flight(0, **texts) | {"event_id": f"{n}"} for n in range(8)])
    call = queries.stub.GetEvents(pb.GetEventsRequest(model="flight_delay", event_ids=map(str, range(8))))
    assert await failing(call) == (grpc.StatusCode.OUT_OF_RANGE, "RESULT_TOO_LARGE", False)
    assert len(await read(queries.stub)) == 8  # the stream parts them


async def test_reads_beyond_the_most_at_a_time_are_told_to_come_back(registry: Registry, queries: Any) -> None:
    async with queries.snapshots.one(), queries.snapshots.one():
        call = queries.stub.QueryEvents(pb.QueryEventsRequest(model="flight_delay"))
        assert await failing(call) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "READERS_BUSY", True)
    assert await read(queries.stub) == []


async def test_a_client_that_does_not_read_gives_its_connection_back(service: WritePath, queries: Any) -> None:
    rows = [flight(0, metadata={"k": "x" * 2_000}) | {"event_id": f"{n:05}"} for n in range(5_000)]
    await service.send(EVENTS, rows)
    call = queries.stub.QueryEvents(pb.QueryEventsRequest(model="flight_delay"))
    await anext(aiter(call))
    async with asyncio.timeout(20):
        while queries.snapshots.open:
            await asyncio.sleep(0.05)
    assert await failing(call) == (grpc.StatusCode.UNAVAILABLE, "RESULTS_NOT_READ", True)


async def test_a_client_that_goes_away_gives_its_connection_back(service: WritePath, queries: Any) -> None:
    rows = [flight(0, metadata={"k": "x" * 2_000}) | {"event_id": f"{n:05}"} for n in range(5_000)]
    await service.send(EVENTS, rows)
    call = queries.stub.QueryEvents(pb.QueryEventsRequest(model="flight_delay"))
    await anext(aiter(call))
    call.cancel()
    async with asyncio.timeout(20):
        while queries.snapshots.open:
            await asyncio.sleep(0.05)
    assert len(await read(queries.stub, limit=7)) == 7


async def test_a_read_changes_nothing_and_ends_when_it_takes_too_long(
    registry: Registry, queries: Any, connection: asyncpg.Connection
) -> None:
    async with queries.snapshots.one() as reading:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await reading.execute("CREATE TABLE main.mine (x int)")

    async def slow() -> None:
        async with queries.snapshots.one() as reading:
            await reading.execute("SET LOCAL statement_timeout = 50")
            await reading.execute("SELECT pg_sleep(10)")

    with pytest.raises(QueryTooSlowError):
        await slow()
