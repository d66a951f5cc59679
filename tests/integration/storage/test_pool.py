import asyncio
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import asyncpg
import pytest
import uvloop

from headrace_server.storage import keepalive
from headrace_server.storage.pool import connect, create_pool
from support.timescale import TimescaleCluster


async def test_a_session_commits_durably_whatever_role_and_database_say(
    timescale: TimescaleCluster, database_url: str
) -> None:
    name = urlsplit(database_url).path.strip("/")
    await timescale.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    await timescale.execute(f"ALTER DATABASE {name} SET timezone = 'Asia/Tokyo'")
    connection = await connect(database_url, instance="one")
    for _ in range(2):
        assert await connection.fetchval("SHOW synchronous_commit") == "on"
        assert await connection.fetchval("SHOW timezone") == "UTC"
        await connection.execute("RESET ALL")
    assert await connection.fetchval("SHOW application_name") == "headrace/one"
    await connection.close()


async def test_pooled_sessions_promise_the_same_after_any_use(database_url: str) -> None:
    async with await create_pool(database_url, instance="one", size=1) as pool:
        async with pool.acquire() as connection:
            await connection.execute("SET synchronous_commit = off")
        async with pool.acquire() as connection:
            assert await connection.fetchval("SHOW synchronous_commit") == "on"
            assert await connection.fetchval("SHOW application_name") == "headrace/one"


async def test_no_statement_runs_past_its_deadline(database_url: str) -> None:
    connection = await connect(database_url, instance="one", command_timeout_s=0.2)
    with pytest.raises(TimeoutError):
        await connection.execute("SELECT pg_sleep(60)")
    assert await connection.fetchval("SELECT 1") == 1
    assert await connection.fetchval("SHOW statement_timeout") == "5200ms"
    await connection.close()


async def test_a_server_that_takes_no_writes_is_not_connected_to(
    timescale: TimescaleCluster, database_url: str
) -> None:
    name = urlsplit(database_url).path.strip("/")
    await timescale.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(asyncpg.TargetServerAttributeNotMatched):
        await connect(database_url, instance="one")


async def test_a_silent_server_is_given_up_on() -> None:
    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await closing.wait()
        writer.close()

    closing = asyncio.Event()
    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(TimeoutError):
        await connect(f"postgresql://u:p@127.0.0.1:{port}/d?sslmode=disable", instance="one", connect_timeout_s=0.2)
    closing.set()
    server.close()
    await server.wait_closed()


async def test_a_unix_socket_holds_more_than_by_default(database_url: str) -> None:
    connection = await connect(database_url, instance="one")
    with socket.socket(socket.AF_UNIX) as plain:
        by_default = plain.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    peer = connection._transport.get_extra_info("socket")
    assert peer.family == socket.AF_UNIX
    assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) > by_default
    await connection.close()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_tcp_connection_finds_out_about_a_dead_peer(
    timescale: TimescaleCluster, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def look() -> None:
        connection = await connect(timescale.database.public_url, instance="one")
        peer = connection._transport.get_extra_info("socket")
        assert peer.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == keepalive.IDLE_S
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == keepalive.USER_TIMEOUT_MS
        assert await connection.fetchval("SHOW tcp_keepalives_idle") == str(keepalive.IDLE_S)
        await connection.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(look())
