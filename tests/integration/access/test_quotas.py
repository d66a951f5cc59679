"""Quotas of a project: rates slow streams and send calls back, numbers are held over all replicas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import grpc
import pytest
from google.rpc import error_details_pb2

from headrace_server.access.audit import Actor
from headrace_server.access.projects import create_project, set_quotas
from support.scrape import scraped
from support.service import ServiceProcess, running_service
from support.wire_client import WireClient, column, events, is_retryable, json_batch, told, wire_client

OPERATOR = Actor("test", "here")
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[ServiceProcess]:
    async with running_service(database_url) as service:
        yield service


@pytest.fixture
async def database(service: ServiceProcess, database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def client(service: ServiceProcess) -> AsyncIterator[WireClient]:
    async with wire_client(service.grpc) as client:
        yield client


async def refusal(call: Any) -> tuple[grpc.StatusCode, str, str, bool]:
    """Code, reason, name of the quota, and whether it says when to come back."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    reason, status = told(refused.value.trailing_metadata())
    return refused.value.code(), reason, quota_in(status), is_retryable(status)


def quota_in(status: Any) -> str:
    failure = error_details_pb2.QuotaFailure()
    for detail in status.details:
        detail.Unpack(failure)
    return f"{failure.violations[0].subject} {failure.violations[0].description}" if failure.violations else ""


async def until_refused(client: WireClient, quota: str) -> tuple[grpc.StatusCode, str, str, bool]:
    """Publish until the quota that was just set has reached the service."""
    async with asyncio.timeout(20):
        for number in range(1_000):
            try:
                await client.publish(json_batch(events(50, first=100_000 + 50 * number)))
            except grpc.aio.AioRpcError as error:
                reason, status = told(error.trailing_metadata())
                if quota_in(status) == quota:
                    return error.code(), reason, quota_in(status), is_retryable(status)
                await asyncio.sleep(0.05)
    raise AssertionError(f"{quota} has not reached the service")


async def test_rates_slow_streams_and_send_calls_back_for_one_project_alone(
    client: WireClient, service: ServiceProcess, database: asyncpg.Connection
) -> None:
    await client.register()
    await create_project(database, "other", OPERATOR)
    await client.register(project="other")
    await set_quotas(database, "main", {"rows_per_s": 100}, OPERATOR)
    rows_per_s, bytes_per_s = "project:main rows_per_s", "project:main bytes_per_s"
    assert await until_refused(client, rows_per_s) == (EXHAUSTED, "QUOTA_EXCEEDED", rows_per_s, True)
    assert (await client.publish(json_batch(events(500)), project="other")).stored == 500

    stream = client.stream(timeout_s=60)
    await stream.open()
    for seq in range(1, 6):
        await stream.batch(json_batch(events(100, first=100 * seq), seq=seq))
    through = 0
    while through < 5:
        through = (await stream.ack()).through_seq
    # 500 rows at 100 a second, one second of them ahead and the last not waited for: nothing is refused, only later.
    assert (await scraped(service))["headrace_quota_seconds_total"] >= 2.5
    await set_quotas(database, "main", {"rows_per_s": None, "bytes_per_s": 1_000}, OPERATOR)
    assert await until_refused(client, bytes_per_s) == (EXHAUSTED, "QUOTA_EXCEEDED", bytes_per_s, True)


async def test_streams_at_a_time(client: WireClient, database: asyncpg.Connection) -> None:
    await set_quotas(database, "main", {"streams": 2}, OPERATOR)
    first, second, third = client.stream(), client.stream(), client.stream()
    await first.open()
    await second.open()
    with pytest.raises((AssertionError, grpc.aio.AioRpcError)):
        await third.open()
    code, reason, status = await third.end()
    assert (code, reason, quota_in(status), is_retryable(status)) == (
        EXHAUSTED,
        "QUOTA_EXCEEDED",
        "project:main streams",
        True,
    )
    await first.call.done_writing()
    await first.end()
    async with asyncio.timeout(10):
        while True:
            try:
                return await client.stream().open() and None
            except (AssertionError, grpc.aio.AioRpcError):
                await asyncio.sleep(0.05)


async def test_models_and_columns_are_counted_where_they_are_made(
    client: WireClient, database: asyncpg.Connection
) -> None:
    columns = (column("a", "FLOAT64"), column("b", "FLOAT64"))
    await set_quotas(database, "main", {"models": 1, "columns": 3}, OPERATOR)
    await client.register("first", columns=columns)
    await client.register("first", columns=columns)  # changes nothing
    assert await refusal(client.register("second", columns=())) == (
        EXHAUSTED,
        "QUOTA_EXCEEDED",
        "project:main models",
        False,
    )
    more = (*columns, column("c", "FLOAT64"), column("d", "FLOAT64"))
    assert await refusal(client.register("first", columns=more)) == (
        EXHAUSTED,
        "QUOTA_EXCEEDED",
        "project:main columns",
        False,
    )
    await client.register("first", columns=more[:3])
    assert await database.fetchval("SELECT count(*) FROM headrace.models") == 1
    acts = await database.fetch("SELECT act, details::text FROM headrace.audit_log")
    assert [tuple(act.values()) for act in acts] == [("set_quotas", '{"models": 1, "columns": 3}')]
