"""A replica's write path over a migrated database with the flights' model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import asyncpg
import pytest

from headrace_server.models.column_types import ValueType
from headrace_server.models.registry import Registry
from headrace_server.storage.migrate import migrate
from headrace_server.storage.pool import Connect, connect, create_pool
from support.model_definitions import flights, label
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
    """The registry, with the model flight_delay: two labels, chunks of a week."""
    async with await create_pool(database_url, instance="test", size=2) as pool:
        registry = Registry(pool, opened)
        await registry.register("main", flights(label("late"), label("minutes", ValueType.FLOAT64)))
        yield registry


@pytest.fixture
async def service(registry: Registry, opened: Connect) -> AsyncIterator[WritePath]:
    async with running_write_path(registry, opened) as path:
        yield path
