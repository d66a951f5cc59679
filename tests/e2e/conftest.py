"""Services as processes, their database behind them, and batches to send."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import asyncpg
import pytest


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
def grpc_port() -> int:
    """A port that is free now, for services that come back to it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
