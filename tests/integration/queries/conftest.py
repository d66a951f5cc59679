"""A replica's write path with the flights' model, and its QueryService over a real gRPC server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

import asyncpg
import grpc
import pytest

from headrace.v1.query_service_pb2_grpc import QueryServiceStub, add_QueryServiceServicer_to_server
from headrace_server.intake.interceptors import CallInterceptor
from headrace_server.models.registry import Registry
from headrace_server.ops.metrics import Metrics
from headrace_server.queries.query_servicer import QueryServicer
from headrace_server.queries.reader import Reader
from headrace_server.queries.snapshots import Snapshots
from headrace_server.queries.statistics import Statistics
from headrace_server.storage.migrate import migrate
from headrace_server.storage.pool import Connect, connect, create_pool, create_reading_pool
from support.model_definitions import flights, label
from support.write_path import WritePath, running_write_path


@pytest.fixture
async def opened(database_url: str) -> Connect:
    connection = await connect(database_url, instance="test")
    await migrate(connection)
    await connection.close()
    return partial(connect, database_url, instance="test")


@pytest.fixture
async def connection(opened: Connect) -> AsyncIterator[asyncpg.Connection]:
    connection = await opened()
    yield connection
    await connection.close()


@pytest.fixture
async def registry(opened: Connect, database_url: str) -> AsyncIterator[Registry]:
    """The registry, with the model flight_delay: a feature, a prediction and a label; chunks of a week."""
    async with await create_pool(database_url, instance="test", size=2) as pool:
        registry = Registry(pool, opened)
        await registry.register("main", flights(label("late")), "v1")
        yield registry


@pytest.fixture
async def service(registry: Registry, opened: Connect) -> AsyncIterator[WritePath]:
    async with running_write_path(registry, opened, copiers=1) as path:
        yield path


@dataclass
class Queries:
    """QueryService and the rooms behind it."""

    stub: QueryServiceStub
    snapshots: Snapshots
    reader: Reader


NOT_READ_S = 0.5


@pytest.fixture
async def queries(registry: Registry, opened: Connect, database_url: str) -> AsyncIterator[Queries]:
    """QueryService with two connections, whose clients have half a second to read."""
    pool = await create_reading_pool(database_url, instance="test", size=2, statement_timeout_s=20, idle_timeout_s=20)
    snapshots = Snapshots(pool)
    reader = Reader(snapshots)
    server = grpc.aio.server(interceptors=[CallInterceptor(Metrics(version="0", instance="test"))])
    servicer = QueryServicer(registry, reader, Statistics(snapshots), NOT_READ_S)
    add_QueryServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Queries(QueryServiceStub(channel), snapshots, reader)
    await server.stop(None)
    await pool.close()
