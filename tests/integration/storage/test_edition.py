from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from headrace_server.storage.edition import UnsuitableDatabaseError, probe
from headrace_server.storage.pool import connect
from support.timescale import TimescaleCluster


@asynccontextmanager
async def bare_database(timescale: TimescaleCluster, owner: str = "") -> AsyncIterator[str]:
    """URL of a database without the extension."""
    await timescale.execute(f"CREATE DATABASE bare TEMPLATE template0 {owner}")
    try:
        yield timescale.url_of("bare")
    finally:
        await timescale.execute("DROP DATABASE bare WITH (FORCE)")


async def test_a_good_database_is_described(database_url: str) -> None:
    connection = await connect(database_url, instance="test")
    edition = await probe(connection)
    assert edition.postgres >= 15
    assert edition.timescaledb >= (2, 19)
    assert edition.extension_schema == "public"
    assert edition.community is (await connection.fetchval("SHOW timescaledb.license") == "timescale")
    await connection.close()


async def test_the_extension_is_made_where_it_is_missing(timescale: TimescaleCluster) -> None:
    async with bare_database(timescale) as url:
        connection = await connect(url, instance="test")
        assert (await probe(connection)).timescaledb >= (2, 19)
        assert await connection.fetchval("SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'") == 1
        await connection.close()


async def test_the_extension_is_found_in_any_schema(timescale: TimescaleCluster) -> None:
    async with bare_database(timescale) as url:
        connection = await connect(url, instance="test")
        await connection.execute('CREATE SCHEMA "Time Series"; CREATE EXTENSION timescaledb SCHEMA "Time Series"')
        assert (await probe(connection)).extension_schema == "Time Series"
        await connection.close()


async def test_a_role_that_may_not_create_is_told_what_to_grant(timescale: TimescaleCluster, database_url: str) -> None:
    connection = await connect(database_url, instance="test")
    await connection.execute("CREATE ROLE guest; SET ROLE guest")
    try:
        with pytest.raises(UnsuitableDatabaseError, match="GRANT CREATE ON DATABASE"):
            await probe(connection)
    finally:
        await connection.execute("RESET ROLE; DROP ROLE guest")
        await connection.close()


async def test_a_server_that_does_not_sync_is_refused_unless_allowed(
    timescale: TimescaleCluster, database_url: str
) -> None:
    await timescale.execute("ALTER SYSTEM SET fsync = off")
    await timescale.execute("SELECT pg_reload_conf()")
    try:
        connection = await _connection_that_sees_fsync_off(database_url)
        with pytest.raises(UnsuitableDatabaseError, match="fsync=off"):
            await probe(connection)
        await probe(connection, allow_fsync_off=True)
        await connection.close()
    finally:
        await timescale.execute("ALTER SYSTEM RESET fsync")
        await timescale.execute("SELECT pg_reload_conf()")


async def _connection_that_sees_fsync_off(url: str) -> asyncpg.Connection:
    # A reload reaches the postmaster, which forks the sessions, a moment later.
    while True:
        connection = await connect(url, instance="test")
        if await connection.fetchval("SHOW fsync") == "off":
            return connection
        await connection.close()
