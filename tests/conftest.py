"""Fixtures that every test may ask for; the database starts with the first test that wants it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import structlog
from hypothesis import HealthCheck, settings
from structlog.dev import plain_traceback

from support.timescale import BLANK, TimescaleCluster

# As the Makefile has it: a service that a test starts would be compiled each time, which takes longer than its start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A busy machine is no fault of the code's: time goes into benchmarks. A failure prints the blob that replays it.
settings.register_profile("headrace", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("headrace")

# By default structlog draws a defect with all its local variables: seconds for each batch that a test breaks.
structlog.configure(
    processors=[structlog.processors.add_log_level, structlog.dev.ConsoleRenderer(exception_formatter=plain_traceback)]
)


@pytest.fixture(scope="session")
def timescale() -> Iterator[TimescaleCluster]:
    """The session's TimescaleDB cluster, for tests that make their own databases or break things."""
    # Started and stopped on a loop of its own in a thread, so that the tests' loops are left alone.
    with ThreadPoolExecutor(max_workers=1) as thread:
        cluster = TimescaleCluster()
        try:
            thread.submit(asyncio.run, cluster.start()).result()
            yield cluster
        finally:
            thread.submit(asyncio.run, cluster.stop()).result()


@pytest.fixture
async def database_url(timescale: TimescaleCluster) -> AsyncIterator[str]:
    """URL of a new database that a service has migrated and nobody used; gone after the test."""
    async with timescale.fresh_database() as url:
        yield url


@pytest.fixture
async def blank_database_url(timescale: TimescaleCluster) -> AsyncIterator[str]:
    """URL of a new database with the timescaledb extension and nothing else; gone after the test."""
    async with timescale.fresh_database(BLANK) as url:
        yield url
