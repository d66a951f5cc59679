"""Clients that log a row, flush and close at once: each on a fresh stream, and none loses its row or stores it twice.

`make short-lives LIVES=n` has n of either face, sync and asyncio.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import asyncpg
import pytest

import headrace
import headrace.aio
from support.service import ServiceProcess, running_service

LIVES = int(os.environ.get("HEADRACE_TEST_LIVES", "25"))
WITHIN_S = 20.0


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[ServiceProcess]:
    """A service with a model whose table would hold a row twice."""
    async with running_service(database_url) as running:
        with headrace.connect(running.grpc) as client:
            schema = headrace.Schema(features={"number": "int64"})
            client.register(schema, name="lives", identity=headrace.Identity.APPEND)
        yield running


async def test_a_client_that_logs_flushes_and_closes_has_stored_its_row(
    service: ServiceProcess, database: asyncpg.Connection
) -> None:
    def live(number: int) -> None:
        client = headrace.connect(service.grpc)
        client.model("lives").log({"number": number})
        client.flush(WITHIN_S)
        client.close(WITHIN_S)

    for number in range(LIVES):
        await asyncio.to_thread(live, number)
    await expect_each_once(database)


async def test_so_does_one_that_closes_without_a_flush(service: ServiceProcess, database: asyncpg.Connection) -> None:
    def live(number: int) -> None:
        with headrace.connect(service.grpc) as client:
            client.model("lives").log({"number": number})

    for number in range(LIVES):
        await asyncio.to_thread(live, number)
    await expect_each_once(database)


async def test_so_does_an_asyncio_client(service: ServiceProcess, database: asyncpg.Connection) -> None:
    for number in range(LIVES):
        client = headrace.aio.connect(service.grpc)
        client.model("lives").log({"number": number})
        await client.flush(WITHIN_S)
        await client.close(WITHIN_S)
    await expect_each_once(database)


async def expect_each_once(database: asyncpg.Connection) -> None:
    numbers = [row[0] for row in await database.fetch("SELECT number FROM main.lives ORDER BY number")]
    assert numbers == list(range(LIVES))
