"""A service for each page, and a look at the database behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest

from support.documentation_page import DocumentationPage, run_page
from support.service import running_service


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def run(
    database_url: str, database: asyncpg.Connection, tmp_path: Path
) -> AsyncIterator[Callable[[str], Awaitable[DocumentationPage]]]:
    """Run a page against a service of its own."""
    async with running_service(database_url) as service:

        async def running(name: str) -> DocumentationPage:
            return await run_page(f"coming-from/{name}.md", service, database, tmp_path)

        yield running
