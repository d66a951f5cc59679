"""A replica's write path over a migrated database without models, for the conftest.py of rooms that need one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import asyncpg
import pytest

from headrace_server.models.registry import Registry
from headrace_server.storage.migrate import migrate
from headrace_server.storage.pool import Connect, connect, create_pool
from support.write_path import WritePath, running_write_path


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
async def registry(opened: Connect, database_url: str) -> AsyncIterator[Registry]:
    async with await create_pool(database_url, instance="test", size=2) as pool:
        yield Registry(pool, opened)


@pytest.fixture
async def service(registry: Registry, opened: Connect) -> AsyncIterator[WritePath]:
    async with running_write_path(registry, opened) as path:
        yield path
