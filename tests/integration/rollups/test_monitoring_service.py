"""What monitoring reads, as users of the SDK get it from a running service, and the servicer's pages and errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import grpc
import pytest

import headrace
from headrace.v1 import monitoring_service_pb2 as pb
from headrace.v1.monitoring_service_pb2_grpc import MonitoringServiceStub, add_MonitoringServiceServicer_to_server
from headrace_server.intake.interceptors import CallInterceptor
from headrace_server.models.registry import Registry
from headrace_server.ops.metrics import Metrics
from headrace_server.rollups.monitoring_servicer import MonitoringServicer
from headrace_server.rollups.refresh import Refresh
from headrace_server.storage.pool import create_pool
from support.label_rows import START, event
from support.model_definitions import flights
from support.service import running_service
from support.write_path import EVENTS, WritePath


def until(read: Callable[[], list[dict[str, Any]]], is_there: Callable[[list[dict[str, Any]]], bool]) -> Any:
    """Read until it is there; the roll-ups follow the rows by some seconds."""

    async def look() -> list[dict[str, Any]]:
        async with asyncio.timeout(45):
            while not is_there(rows := await asyncio.to_thread(read)):
                await asyncio.sleep(0.1)
            return rows

    return look()


async def test_events_and_labels_become_volume_and_performance_by_themselves(database_url: str) -> None:
    async with running_service(database_url) as service:
        client = headrace.connect(service.grpc)
        schema = headrace.Schema(
            features={"dep_delay": "float64"},
            predictions={"score": "float64"},
            labels={"late": "bool"},
            task="binary_classification",
        )
        model = await asyncio.to_thread(lambda: client.register(schema, name="flight_delay", version="v1"))
        assert await asyncio.to_thread(model.volume) == []
        rows = [
            {
                "event_id": f"e{at}",
                "event_time": START,
                "dep_delay": 1.0,
                "score": 0.9,
                "latency_ms": 2.0,
                "late": at < 3,
            }
            for at in range(4)
        ]
        await asyncio.to_thread(model.publish, rows, labels="late")
        volume = await until(model.volume, lambda rows: sum(row["events"] for row in rows) == 4)
        assert (volume[0]["bucket"], volume[0]["model_version"], volume[0]["latency_ms_max"]) == (START, "v1", 2.0)
        performance = await until(model.performance, lambda rows: sum(row["labelled"] for row in rows) == 4)
        assert (performance[0]["accuracy"], performance[0]["true_positives"], performance[0]["mae"]) == (0.75, 3, None)
        # Late labels, and one that comes before its event.
        await asyncio.to_thread(
            model.publish, [{"event_id": "e3", "late": True}, {"event_id": "e9", "late": True}], update=True
        )
        await until(model.performance, lambda rows: rows[0]["accuracy"] == 1.0)
        await asyncio.to_thread(
            model.publish, [{"event_id": "e9", "event_time": START, "dep_delay": 1.0, "score": 0.1}]
        )
        hours = await until(lambda: model.performance("hour"), lambda rows: rows[0]["labelled"] == 5)
        assert hours[0]["false_negatives"] == 1
        assert await asyncio.to_thread(lambda: model.performance("hour", start=START + timedelta(hours=1))) == []
        with pytest.raises(headrace.InvalidArgumentError, match="grain"):
            model.volume("week")  # type: ignore[arg-type]
        with pytest.raises(headrace.ModelNotFoundError):
            await asyncio.to_thread(client.model("nobody").volume)
        await asyncio.to_thread(client.close)


@pytest.fixture
async def monitoring(registry: Registry, database_url: str) -> AsyncIterator[MonitoringServiceStub]:
    async with await create_pool(database_url, instance="test", size=2) as pool:
        server = grpc.aio.server(interceptors=[CallInterceptor(Metrics(version="0", instance="test"))])
        add_MonitoringServiceServicer_to_server(MonitoringServicer(registry, pool), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield MonitoringServiceStub(channel)
        await server.stop(None)


async def test_pages(
    monitoring: MonitoringServiceStub,
    service: WritePath,
    registry: Registry,
    refresh: Refresh,
    connection: asyncpg.Connection,
) -> None:
    await registry.register("main", flights())
    await service.send(EVENTS, [event(f"e{at}", START + timedelta(hours=at)) for at in range(5)])
    await refresh.turn(connection)
    request = pb.GetVolumeRequest(model="flight_delay", grain=pb.GRAIN_HOUR, page_size=2)
    hours = []
    while True:
        page = await monitoring.GetVolume(request)
        hours += [row.bucket.ToDatetime().hour for row in page.rows]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert hours == [0, 1, 2, 3, 4]
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await monitoring.GetVolume(pb.GetVolumeRequest(model="flight_delay", page_token="first"))
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
