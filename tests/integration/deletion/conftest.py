"""A replica's write path with the flights' model, its jobs, and DeletionService over a real gRPC server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import grpc
import pytest

from headrace.v1 import deletion_service_pb2 as pb
from headrace.v1.deletion_service_pb2_grpc import DeletionServiceStub, add_DeletionServiceServicer_to_server
from headrace_server.deletion.deletion_servicer import DELETE_EVENTS, DeletesEvents, DeletionServicer
from headrace_server.intake.interceptors import CallInterceptor
from headrace_server.jobs import store
from headrace_server.jobs.job import Job
from headrace_server.jobs.runner import JobRunner
from headrace_server.models.registry import Registry
from headrace_server.ops.metrics import Metrics
from headrace_server.storage.migrate import migrate
from headrace_server.storage.pool import Connect, connect, create_pool
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
async def pool(opened: Connect, database_url: str) -> AsyncIterator[asyncpg.Pool]:
    async with await create_pool(database_url, instance="test", size=3) as pool:
        yield pool


@pytest.fixture
async def registry(opened: Connect, pool: asyncpg.Pool) -> Registry:
    registry = Registry(pool, opened)
    await registry.register("main", flights(label("late")))
    return registry


@pytest.fixture
async def service(registry: Registry, opened: Connect) -> AsyncIterator[WritePath]:
    async with running_write_path(registry, opened, copiers=1) as path:
        yield path


@dataclass
class Deleting:
    """DeletionService and its jobs."""

    stub: DeletionServiceStub
    connection: asyncpg.Connection

    async def begin(self, **wanted: Any) -> UUID:
        """Begin a delete that says the model's name as it must; returns the job's id."""
        request = pb.DeleteEventsRequest(model="flight_delay", confirm_model="flight_delay", **wanted)
        return UUID((await self.stub.DeleteEvents(request)).job.id)

    async def ended(self, job_id: UUID, timeout_s: float = 60.0) -> Job:
        """Wait for a job's end."""
        async with asyncio.timeout(timeout_s):
            while True:
                job = await store.load(self.connection, "main", job_id)
                if job is not None and job.result is not None:
                    return job
                await asyncio.sleep(0.02)


@pytest.fixture
async def deleting(registry: Registry, opened: Connect, pool: asyncpg.Pool) -> AsyncIterator[Deleting]:
    runner = JobRunner(opened, pool, "test", {DELETE_EVENTS: DeletesEvents()})
    running = asyncio.create_task(runner.run())
    server = grpc.aio.server(interceptors=[CallInterceptor(Metrics(version="0", instance="test"))])
    add_DeletionServiceServicer_to_server(DeletionServicer(registry, runner, opened), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    connection = await opened()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Deleting(DeletionServiceStub(channel), connection)
    await server.stop(None)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await connection.close()
