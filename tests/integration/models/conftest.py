"""A migrated database and registries over it, as replicas of the service would hold them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

import asyncpg
import pytest

from headrace_server.models.registry import Registry
from headrace_server.storage.migrate import migrate
from headrace_server.storage.pool import Connect, connect, create_pool

OpenRegistry = Callable[..., Awaitable[Registry]]


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
async def open_registry(opened: Connect, database_url: str) -> AsyncIterator[OpenRegistry]:
    """Makes a registry with a pool of its own, as another replica has."""
    async with AsyncExitStack() as stack:

        async def make(**settings: bool) -> Registry:
            pool = await stack.enter_async_context(await create_pool(database_url, instance="replica", size=2))
            return Registry(pool, opened, **settings)

        yield make


@pytest.fixture
async def registry(open_registry: OpenRegistry) -> Registry:
    return await open_registry()
