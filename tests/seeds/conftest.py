"""A service for each page: the page runs once, then the tests of its points ask what became of it, and more.

Tests are plain functions, as a user's script is. A loop in a thread of its own follows the service meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator

import asyncpg
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

import headrace
from support.documentation_page import DocumentationPage, Query, run_page
from support.service import ServiceProcess, running_service
from support.timescale import TimescaleCluster


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture(scope="module")
def database_url(timescale: TimescaleCluster, portal: BlockingPortal) -> Iterator[str]:
    with portal.wrap_async_context_manager(timescale.fresh_database()) as url:
        yield url


@pytest.fixture(scope="module")
def service(database_url: str, portal: BlockingPortal) -> Iterator[ServiceProcess]:
    with portal.wrap_async_context_manager(running_service(database_url)) as service:
        yield service


@pytest.fixture(scope="module")
def query(database_url: str, portal: BlockingPortal) -> Query:
    """Ask the database behind the service, as psql would."""

    async def fetch(statement: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(database_url)
        try:
            return await connection.fetch(statement)
        finally:
            await connection.close()

    return lambda statement: portal.call(fetch, statement)


@pytest.fixture(scope="module")
def page(
    request: pytest.FixtureRequest, service: ServiceProcess, query: Query, tmp_path_factory: pytest.TempPathFactory
) -> DocumentationPage:
    """The page that the module of tests is called after, after it has run."""
    name = request.module.__name__.rpartition(".")[2].removeprefix("test_")
    return run_page(f"coming-from/{name}.md", service, query, tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def client(service: ServiceProcess) -> Iterator[headrace.Client]:
    """The page has closed its own."""
    with headrace.connect(service.grpc) as client:
        yield client


@pytest.fixture(scope="module")
def model(page: DocumentationPage, client: headrace.Client) -> headrace.Model:
    """The page's own model, as the page has left it."""
    left: headrace.Model = page.names["model"]
    return client.get_model(left.name, version=left.version)


@pytest.fixture
def beside(page: DocumentationPage, client: headrace.Client, request: pytest.FixtureRequest) -> headrace.Model:
    """A model with the page's schema and nothing in it, called as the test is."""
    name = request.node.name.removeprefix("test_")[:40].rstrip("_")
    return client.register(page.names["schema"], name=f"{name}_beside", version="v1")
