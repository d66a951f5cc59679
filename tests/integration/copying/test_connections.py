"""A connection that breaks at any message of a transaction: nothing is lost, nothing doubled, nothing told wrongly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from headrace_server.models.registry import Registry
from headrace_server.storage.pool import Connect, connect
from support.replica import flights, open_on, row_count, settled
from support.tcp_proxy import Cut, Direction, TcpProxy, cut_once, tcp_proxy
from support.write_path import WritePath, running_write_path

COMMAND_S = 1.0


@pytest.fixture
async def proxy(database_url: str) -> AsyncIterator[TcpProxy]:
    query = parse_qs(urlsplit(database_url).query)
    async with tcp_proxy(f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}") as proxy:
        yield proxy


@pytest.fixture
def through(proxy: TcpProxy, database_url: str) -> Connect:
    """Opens connections through the proxy."""
    url = urlsplit(database_url)
    address = f"postgresql://{url.username}@127.0.0.1:{proxy.port}{url.path}?sslmode=disable"
    return partial(connect, address, instance="one", connect_timeout_s=COMMAND_S, command_timeout_s=COMMAND_S)


@pytest.fixture
async def path(registry: Registry, through: Connect) -> AsyncIterator[WritePath]:
    async with running_write_path(registry, through, copiers=1) as path:
        yield path


async def tried(proxy: TcpProxy, links: int) -> None:
    """Wait until so many connections have been tried."""
    async with asyncio.timeout(20):
        while proxy.seen_links < links:
            await asyncio.sleep(0.01)


MESSAGES = {
    "begin": b"BEGIN ISOLATION",
    "claim": b"FOR UPDATE OF p",
    "copy": b"COPY ",
    "rows": b"PGCOPY\n",
    "letters": b"INSERT INTO headrace.dead_letters",
    "results": b"INSERT INTO headrace.batch_results",
    "advance": b"UPDATE headrace.producers",
    "commit": b"COMMIT;",
}


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER], ids=lambda cut: cut.name.lower())
@pytest.mark.parametrize("message", MESSAGES)
async def test_a_connection_lost_at_a_message(
    path: WritePath, proxy: TcpProxy, opened: Connect, connection: asyncpg.Connection, *, message: str, cut: Cut
) -> None:
    session = await open_on(path, opened)
    bad = {"event_id": "bad", "event_time": "2013-01-01T00:00:00Z", "dep_delay": "soon"}
    proxy.watch = cut_once(Direction.TO_SERVER, MESSAGES[message], cut)
    result = await session.send([*flights(10), bad])
    assert (result.stored, result.rejected, result.duplicate, result.replayed) == (10, 1, 0, False)
    assert (await session.send(flights(10, first=10))).stored == 10
    assert await row_count(connection) == 20
    assert await connection.fetchval("SELECT count(*) FROM headrace.dead_letters") == 1
    assert await connection.fetchval("SELECT last_seq FROM headrace.producers") == 2
    assert proxy.seen_links > 1, "nothing was cut"


async def test_an_answer_lost_with_its_connection_is_asked_for_again(
    path: WritePath, proxy: TcpProxy, opened: Connect, connection: asyncpg.Connection
) -> None:
    session = await open_on(path, opened)
    proxy.watch = cut_once(Direction.TO_CLIENT, b"COMMIT\0", Cut.BEFORE)
    result = await session.send(flights(10))
    assert (result.stored, result.duplicate, result.replayed) == (10, 0, False)
    assert await row_count(connection) == 10


async def test_a_silent_network_is_given_up_on_and_the_ledger_asked_when_it_speaks_again(
    path: WritePath, proxy: TcpProxy, opened: Connect, connection: asyncpg.Connection
) -> None:
    session = await open_on(path, opened)
    await session.send(flights(10))
    proxy.black_hole()
    batches = [await session.put(flights(10, first=10 * number)) for number in range(1, 6)]
    await tried(proxy, 5)
    proxy.heal()
    assert [(await settled(batch)).stored for batch in batches] == [10] * 5
    assert await row_count(connection) == 60


async def test_while_connections_are_refused_everything_waits_and_then_goes_on(
    path: WritePath, proxy: TcpProxy, opened: Connect, connection: asyncpg.Connection
) -> None:
    sessions = [await open_on(path, opened) for _ in range(3)]
    await sessions[0].send(flights(1))
    proxy.refuses = True
    proxy.reset()
    batches = [
        await session.put(flights(10, first=1_000 * n + 10 * turn))
        for turn in range(10)
        for n, session in enumerate(sessions)
    ]
    await tried(proxy, 8)
    assert not any(batch.settled.done() for batch in batches)
    proxy.refuses = False
    results = [await settled(batch) for batch in batches]
    assert sum(result.stored + result.duplicate for result in results) == 300
    assert {result.replayed for result in results} == {False}
    assert await row_count(connection) == 300


async def test_a_server_that_becomes_read_only_is_left_until_it_takes_writes_again(
    path: WritePath, proxy: TcpProxy, opened: Connect, connection: asyncpg.Connection
) -> None:
    session = await open_on(path, opened)
    await session.send(flights(10))
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    proxy.reset()
    batch, links = await session.put(flights(10, first=10)), proxy.seen_links
    await tried(proxy, links + 3)
    assert not batch.settled.done()
    await connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    assert (await settled(batch)).stored == 10
