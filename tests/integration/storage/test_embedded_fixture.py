"""The session's database does what the other tests rely on."""

from __future__ import annotations

import asyncpg
import pytest

from support.timescale import TimescaleCluster


async def test_a_fresh_database_takes_a_hypertable(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("CREATE TABLE readings (at timestamptz NOT NULL, value float8)")
    await connection.execute("SELECT create_hypertable('readings', by_range('at'))")
    await connection.execute(
        "INSERT INTO readings SELECT now() - n * interval '1 day', n FROM generate_series(1, 30) n"
    )
    assert await connection.fetchval("SELECT count(*) FROM timescaledb_information.chunks") > 1
    await connection.close()


async def test_each_test_has_its_own_database(timescale: TimescaleCluster) -> None:
    async with timescale.fresh_database() as one, timescale.fresh_database() as other:
        first = await asyncpg.connect(one)
        second = await asyncpg.connect(other)
        await first.execute("CREATE TABLE only_here ()")
        assert await second.fetchval("SELECT to_regclass('only_here')") is None
        await first.close()
        # The second connection stays open: the database goes all the same.
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await second.fetchval("SELECT 1")
    second.terminate()


async def test_durability_is_on(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch(
        "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes')"
    )
    assert {row["setting"] for row in rows} == {"on"}
    await connection.close()


async def test_a_killed_cluster_comes_back_with_what_was_committed(timescale: TimescaleCluster) -> None:
    async with timescale.fresh_database() as url:
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
        await timescale.kill_postmaster()
        await timescale.restart()
        connection.terminate()
        again = await asyncpg.connect(url)
        assert await again.fetchval("SELECT value FROM kept") == 7
        await again.close()


async def test_a_paused_cluster_answers_nobody_until_it_is_resumed(timescale: TimescaleCluster) -> None:
    async with timescale.fresh_database() as url:
        connection = await asyncpg.connect(url)
        timescale.pause()
        with pytest.raises(TimeoutError):
            await connection.fetchval("SELECT 1", timeout=0.3)
        timescale.resume()
        connection.terminate()
        again = await asyncpg.connect(url, timeout=10)
        assert await again.fetchval("SELECT 1") == 1
        await again.close()
