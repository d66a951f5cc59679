"""Whatever ends an upload in the middle: nothing of it is seen, its job says so, and nothing is left behind."""

from __future__ import annotations

import asyncio
import itertools
import signal
import sys
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

import headrace
from headrace import aio
from support.service import ServiceProcess, running_service

SCHEMA = headrace.Schema(features={"distance": "float64"})
SETTINGS = headrace.Settings(call_timeout_s=20.0, backoff_max_s=1.0)
ENDLESS_CLIENT = """
import itertools, sys, headrace
rows = ({"event_id": str(n), "distance": 1.0} for n in itertools.count())
job = headrace.connect(sys.argv[1]).model("flights").publish_dataset(rows, name="endless")
print(job.id, flush=True)
job.wait()
"""


def endless() -> Iterator[dict[str, Any]]:
    return ({"event_id": str(number), "distance": 1.0} for number in itertools.count())


async def under_way(database: asyncpg.Connection) -> None:
    """Wait until rows of the upload are in the database."""
    async with asyncio.timeout(60):
        while not await database.fetchval("SELECT count(*) FROM headrace.jobs WHERE progress_rows > 0"):
            await asyncio.sleep(0.05)


async def assert_nothing_is_left(database: asyncpg.Connection) -> None:
    assert await database.fetchval("SELECT count(*) FROM headrace.datasets") == 0
    assert await database.fetchval("SELECT count(*) FROM pg_tables WHERE tablename ~ '^dataset_|_datasets$'") == 0


async def begun(client: aio.AsyncClient, database: asyncpg.Connection) -> aio.AsyncJob:
    model = await client.register(SCHEMA, name="flights")
    job = await model.publish_dataset(endless(), name="endless")
    await under_way(database)
    return job


async def reason_of(job: aio.AsyncJob) -> str:
    with pytest.raises(headrace.JobFailedError) as failed:
        await job.wait(timeout=60)
    return failed.value.reason


async def test_cancelled_by_another_client(database_url: str, database: asyncpg.Connection) -> None:
    async with running_service(database_url) as service, aio.connect(service.grpc, settings=SETTINGS) as client:
        job = await begun(client, database)
        async with aio.connect(service.grpc, settings=SETTINGS) as other:
            await (await other.job(job.now.id)).cancel()
        assert await reason_of(job) == "CANCELLED"
        assert job.now.state is headrace.JobState.CANCELLED
        assert job.now.progress_rows > 0
        await assert_nothing_is_left(database)


async def test_the_service_is_killed(database_url: str, database: asyncpg.Connection, grpc_port: int) -> None:
    async with aio.connect(f"127.0.0.1:{grpc_port}", settings=SETTINGS) as client:
        async with running_service(database_url, grpc_port=grpc_port) as first:
            job = await begun(client, database)
            first.kill()
            await first.ended()
        async with running_service(database_url, grpc_port=grpc_port):
            assert await reason_of(job) == "JOB_ABANDONED"
            await assert_nothing_is_left(database)


async def test_the_service_is_stopped_within_its_grace(
    database_url: str, database: asyncpg.Connection, grpc_port: int
) -> None:
    async with aio.connect(f"127.0.0.1:{grpc_port}", settings=SETTINGS) as client:
        async with running_service(database_url, grpc_port=grpc_port, HEADRACE_DRAIN_GRACE_S="1") as first:
            job = await begun(client, database)
            first.signal(signal.SIGTERM)
            assert await first.ended() == 0
        async with running_service(database_url, grpc_port=grpc_port):
            assert await reason_of(job) == "JOB_ABANDONED"
            await assert_nothing_is_left(database)


async def test_the_client_is_killed(database_url: str, database: asyncpg.Connection) -> None:
    async with running_service(database_url) as service, aio.connect(service.grpc, settings=SETTINGS) as client:
        await client.register(SCHEMA, name="flights")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", ENDLESS_CLIENT, service.grpc, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        job_id = (await process.stdout.readline()).decode().strip()
        await under_way(database)
        process.kill()
        await process.wait()
        assert await reason_of(await client.job(job_id)) == "JOB_ABANDONED"
        await assert_nothing_is_left(database)


async def test_the_database_ends_every_session(database_url: str, database: asyncpg.Connection) -> None:
    async with running_service(database_url) as service, aio.connect(service.grpc, settings=SETTINGS) as client:
        job = await begun(client, database)
        await database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'headrace/%'"
        )
        assert await reason_of(job) == "DATABASE_UNAVAILABLE"
        await assert_nothing_is_left(database)
        assert works(service)


def works(service: ServiceProcess) -> bool:
    return service.process.returncode is None
