"""A service for each page, and a look at the database behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

import headrace
from support.documentation_page import DocumentationPage, run_page
from support.service import ServiceProcess, running_service


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[ServiceProcess]:
    async with running_service(database_url) as service:
        yield service


@pytest.fixture
def client(service: ServiceProcess) -> Iterator[headrace.Client]:
    """A look at the same service after the page, which closes its own client."""
    with headrace.connect(service.grpc) as client:
        yield client


@pytest.fixture
async def run(
    service: ServiceProcess, database: asyncpg.Connection, tmp_path: Path
) -> Callable[[str], Awaitable[DocumentationPage]]:
    """Run a page against a service of its own."""

    async def running(name: str) -> DocumentationPage:
        return await run_page(f"coming-from/{name}.md", service, database, tmp_path)

    return running
