"""The service with the model of flights, an asyncio client of it, and a look at the database behind."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

import headrace
from headrace import aio
from support.service import ServiceProcess, running_service

FLIGHTS = headrace.Schema(
    features={"distance": "float64", "carrier": "category"},
    predictions={"score": "float64"},
    labels={"late": "bool"},
)


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[ServiceProcess]:
    async with running_service(database_url) as service:
        yield service


@pytest.fixture
async def client(service: ServiceProcess) -> AsyncIterator[aio.AsyncClient]:
    async with aio.connect(service.grpc, settings=headrace.Settings(call_timeout_s=20.0)) as client:
        yield client


@pytest.fixture
async def flights(client: aio.AsyncClient) -> aio.AsyncModel:
    return await client.register(FLIGHTS, name="Flights", version="v1")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()
