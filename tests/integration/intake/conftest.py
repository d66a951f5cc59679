"""The service in a process of its own, a client on the bare wire, and a look at the database behind it."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from support.service import ServiceProcess, running_service
from support.wire_client import WireClient, wire_client


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[ServiceProcess]:
    async with running_service(database_url) as service:
        yield service


@pytest.fixture
async def client(service: ServiceProcess) -> AsyncIterator[WireClient]:
    async with wire_client(service.grpc) as client:
        yield client


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()
