"""A proxy between the service and its database that can do what networks do: delay, swallow, cut and close by halves.

Listens on a loopback port and passes bytes on, both ways, to a TCP address or a unix socket. Faults are attributes and
methods, for all of its connections or for the one at which `watch` sees a certain message go by.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto

READ_BYTES = 64 * 1024


class Direction(Enum):
    """Where bytes are going."""

    TO_SERVER = auto()
    TO_CLIENT = auto()


class Cut(Enum):
    """When a connection is reset over some bytes."""

    BEFORE = auto()  # they never arrive
    AFTER = auto()  # they arrive, whatever is answered does not


Watch = Callable[[Direction, bytes], Cut | None]


def cut_once(direction: Direction, message: bytes, cut: Cut) -> Watch:
    """Reset the first connection over which the message goes; afterwards nothing more happens."""
    is_done = False

    def watch(going: Direction, data: bytes) -> Cut | None:
        nonlocal is_done
        if is_done or going is not direction or message not in data:
            return None
        is_done = True
        return cut

    return watch


@dataclass(eq=False)
class Link:
    """One connection through the proxy: its two ends."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter

    def reset(self) -> None:
        """Break both ends with an RST, as a middlebox does that has forgotten them."""
        for end in (self.client, self.server):
            peer = end.get_extra_info("socket")
            if peer is not None and peer.family != socket.AF_UNIX:
                with contextlib.suppress(OSError):  # this end has gone by itself
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.transport.abort()


class TcpProxy:
    """The proxy.

    Attributes:
        upstream: Where new connections go on to.
        delay_s: Seconds that each piece of data is held.
        refuses: New connections are closed at once.
        watch: Looks at what comes, and may have its connection cut; the black hole it makes swallows that already.
        seen_links: Connections so far.
    """

    def __init__(self, upstream: tuple[str, int] | str) -> None:
        self.upstream = upstream
        self._links: set[Link] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.port = 0
        self.delay_s = 0.0
        self.refuses = False
        self.watch: Watch | None = None
        self.seen_links = 0

    @property
    def links(self) -> int:
        """Connections that are open."""
        return len(self._links)

    def black_hole(self) -> None:
        """Swallow everything, in both directions, without a word, until `heal`."""
        self._flowing.clear()

    def heal(self) -> None:
        """Let through what was swallowed, and go on."""
        self._flowing.set()

    def reset(self) -> None:
        """Break every connection."""
        for link in list(self._links):
            link.reset()

    def half_close(self, direction: Direction) -> None:
        """End one direction of every connection; the other goes on."""
        for link in self._links:
            (link.server if direction is Direction.TO_SERVER else link.client).write_eof()

    async def serve(self, client_reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """Pass one connection on to its end."""
        self.seen_links += 1
        if self.refuses:
            client.transport.abort()
            return
        try:
            server_reader, server = await self._connect()
        except OSError:
            client.transport.abort()
            return
        link = Link(client, server)
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(link, client_reader, server, Direction.TO_SERVER))
                pumps.create_task(self._pump(link, server_reader, client, Direction.TO_CLIENT))
        finally:
            self._links.discard(link)
            link.client.close()
            link.server.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.upstream, str):
            return await asyncio.open_unix_connection(self.upstream)
        return await asyncio.open_connection(*self.upstream)

    async def _pump(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction
    ) -> None:
        try:
            while data := await reader.read(READ_BYTES):
                cut = self.watch(direction, data) if self.watch is not None else None
                await self._flowing.wait()
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if cut is Cut.BEFORE:
                    link.reset()
                    return
                writer.write(data)
                await writer.drain()
                if cut is Cut.AFTER:
                    link.reset()
                    return
            writer.write_eof()
        except (OSError, RuntimeError):  # RuntimeError: more came for a side that was half-closed
            link.reset()


@asynccontextmanager
async def tcp_proxy(upstream: tuple[str, int] | str) -> AsyncIterator[TcpProxy]:
    """Run a proxy to an address or a unix socket; after the block its connections are broken."""
    proxy = TcpProxy(upstream)
    links: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(proxy.serve(reader, writer))
        links.add(task)
        task.add_done_callback(links.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in list(links):
            task.cancel()
        await asyncio.gather(*links, return_exceptions=True)
