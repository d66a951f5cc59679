"""The proxy against an echo server: each fault is what it says, and only that."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.tcp_proxy import Cut, Direction, TcpProxy, cut_once, tcp_proxy


class Echo:
    """Sends back what it gets, to the end of what it gets."""

    def __init__(self) -> None:
        self.heard = b""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1024):
                self.heard += data
                writer.write(data)
                await writer.drain()
            writer.write(b"bye")
            await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[TcpProxy]:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with tcp_proxy(("127.0.0.1", server.sockets[0].getsockname()[1])) as proxy:
        yield proxy
    server.close()


async def connected(proxy: TcpProxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def said(reader: asyncio.StreamReader, count: int) -> bytes:
    async with asyncio.timeout(5):
        return await reader.readexactly(count)


async def test_bytes_go_both_ways_to_the_end(proxy: TcpProxy) -> None:
    reader, writer = await connected(proxy)
    writer.write(b"x" * 200_000)
    writer.write_eof()
    async with asyncio.timeout(5):
        assert await reader.read() == b"x" * 200_000 + b"bye"
    writer.close()


async def test_a_unix_socket_is_reached_too(echo: Echo, tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    server = await asyncio.start_unix_server(echo, path)
    async with tcp_proxy(path) as proxy:
        reader, writer = await connected(proxy)
        writer.write(b"hello")
        assert await said(reader, 5) == b"hello"
        writer.close()
    server.close()


async def test_a_black_hole_is_silent_and_loses_nothing_once_healed(proxy: TcpProxy) -> None:
    reader, writer = await connected(proxy)
    proxy.black_hole()
    writer.write(b"hello")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await reader.readexactly(1)
    proxy.heal()
    assert await said(reader, 5) == b"hello"
    writer.close()


async def test_a_reset_breaks_every_connection(proxy: TcpProxy) -> None:
    reader, writer = await connected(proxy)
    writer.write(b"hello")
    await said(reader, 5)
    proxy.reset()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await said(reader, 1)
    writer.close()


async def test_half_a_connection_closed_leaves_the_other_half(proxy: TcpProxy) -> None:
    reader, writer = await connected(proxy)
    writer.write(b"hello")
    await said(reader, 5)
    proxy.half_close(Direction.TO_SERVER)
    assert await said(reader, 3) == b"bye"
    writer.close()


async def test_new_connections_can_be_refused(proxy: TcpProxy) -> None:
    proxy.refuses = True
    reader, writer = await connected(proxy)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await said(reader, 1)
    writer.close()


@pytest.mark.parametrize(("cut", "heard"), [(Cut.BEFORE, b""), (Cut.AFTER, b"now")])
async def test_a_connection_is_cut_over_a_message_before_or_after_it_arrives(
    proxy: TcpProxy, echo: Echo, cut: Cut, heard: bytes
) -> None:
    proxy.watch = cut_once(Direction.TO_SERVER, b"now", cut)
    reader, writer = await connected(proxy)
    writer.write(b"now")
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await said(reader, 3)
    writer.close()
    reader, writer = await connected(proxy)
    writer.write(b" now")
    assert await said(reader, 4) == b" now"
    assert echo.heard == heard + b" now"
    writer.close()


async def test_data_is_held_for_the_delay(proxy: TcpProxy) -> None:
    reader, writer = await connected(proxy)
    proxy.delay_s = 0.1
    began = asyncio.get_running_loop().time()
    writer.write(b"hello")
    assert await said(reader, 5) == b"hello"
    assert asyncio.get_running_loop().time() - began >= 0.2
    writer.close()
