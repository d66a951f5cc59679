"""Copiers over a migrated database with the flights' model, and a second replica where a test asks for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import asyncpg
import pytest

from headrace_server.models.registry import Registry
from headrace_server.storage.migrate import migrate
from headrace_server.storage.pool import Connect, connect, create_pool
from support.model_definitions import flights
from support.write_path import WritePath, running_write_path


@pytest.fixture
async def opened(database_url: str) -> Connect:
    """Opens connections to a migrated database, as the replica `one`."""
    connection = await connect(database_url, instance="one")
    await migrate(connection)
    await connection.close()
    return partial(connect, database_url, instance="one")


@pytest.fixture
async def connection(opened: Connect) -> AsyncIterator[asyncpg.Connection]:
    connection = await opened()
    yield connection
    await connection.close()


@pytest.fixture
async def registry(opened: Connect, database_url: str) -> AsyncIterator[Registry]:
    """The registry, with the models flight_delay and weather."""
    async with await create_pool(database_url, instance="one", size=2) as pool:
        registry = Registry(pool, opened)
        await registry.register("main", flights())
        await registry.register("main", flights(name="weather"))
        yield registry


@pytest.fixture
async def path(registry: Registry, opened: Connect) -> AsyncIterator[WritePath]:
    async with running_write_path(registry, opened, copiers=1) as path:
        yield path


@pytest.fixture
async def other_path(registry: Registry, database_url: str) -> AsyncIterator[WritePath]:
    """Another replica's."""
    async with running_write_path(registry, partial(connect, database_url, instance="two"), copiers=1) as path:
        yield path
