"""A migrated database, and replicas whose jobs make a table each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import asyncpg
import pytest

from headrace_server.jobs.runner import JobRunner
from headrace_server.storage.migrate import migrate
from headrace_server.storage.pool import Connect, connect, create_pool
from support.counting_job import KIND, CountingJobs


@pytest.fixture
async def opened(database_url: str) -> Connect:
    """Opens connections to a migrated database."""
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
    async with await create_pool(database_url, instance="test", size=2) as pool:
        yield pool


@pytest.fixture
def counting() -> CountingJobs:
    return CountingJobs()


@pytest.fixture
def runner(opened: Connect, pool: asyncpg.Pool, counting: CountingJobs) -> JobRunner:
    return JobRunner(opened, pool, "first", {KIND: counting})


@pytest.fixture
def other(opened: Connect, pool: asyncpg.Pool, counting: CountingJobs) -> JobRunner:
    """Another replica."""
    return JobRunner(opened, pool, "second", {KIND: counting})
