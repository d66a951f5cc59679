"""A service that asks for keys, and keys of two projects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from headrace_server.access.audit import Actor
from headrace_server.access.keys import NewKey, create_key
from headrace_server.access.scope import EVERY_SCOPE, Scope
from support.service import ServiceProcess, running_service

TEST = Actor("test", "here")
MakeKey = Callable[..., Awaitable[str]]


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[ServiceProcess]:
    async with running_service(database_url, HEADRACE_ACCESS_REQUIRE_KEYS="true") as service:
        yield service


@pytest.fixture
async def database(service: ServiceProcess, database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The migrated database, with the projects main and other."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("INSERT INTO headrace.projects (name) VALUES ('other'); CREATE SCHEMA other")
    yield connection
    await connection.close()


@pytest.fixture
def make_key(database: asyncpg.Connection) -> MakeKey:
    """Makes a key; returns its text."""

    async def make(*scopes: Scope, project: str = "main", for_s: float | None = None) -> str:
        expires_at = None if for_s is None else datetime.now(UTC) + timedelta(seconds=for_s)
        wanted = NewKey(project, "made by a test", frozenset(scopes) or EVERY_SCOPE, expires_at)
        return (await create_key(database, wanted, TEST))[0].shown()

    return make


def id_of(key: str) -> str:
    """The id in a key's text."""
    return key.split("_")[1]
