"""Keeps what this process remembers true to the database: one LISTEN connection, one task, for all channels.

In: NOTIFYs whose payloads name what has changed. Out: each channel's follower called with the names, to read them
again. The connection's callback only notes a name in a set (bounded by what there is to change) and wakes the task,
which calls. NOTIFYs sent while the connection was down are lost, so after each LISTEN every follower is told to read
all it has; in between, a probe finds a connection that died without a word.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence

import asyncpg
import structlog

from headrace_server.errors import DatabaseUnavailableError
from headrace_server.storage.outage import told_as_unavailable
from headrace_server.storage.pool import Connect

PROBE_S = 30.0
PROBE_TIMEOUT_S = 10.0
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0

_log = structlog.get_logger(__name__)

# Reads again what the payloads name; None: everything it remembers.
Follower = Callable[[Sequence[str] | None], Awaitable[None]]


class Listener:
    """Follows changes that other processes make.

    Args:
        connect: Opens its connection.
        followers: Who reads again, by channel.
    """

    def __init__(self, connect: Connect, followers: Mapping[str, Follower]) -> None:
        self._connect = connect
        self._followers = dict(followers)
        self._named: dict[str, set[str]] = {channel: set() for channel in followers}
        self._woken = asyncio.Event()
        self._lost = False
        self._pause_s = FIRST_PAUSE_S
        self.listening = asyncio.Event()
        """Set while changes are followed; cleared while the connection is down."""

    async def run(self) -> None:
        """Listen until cancelled; owned by the caller's TaskGroup. An outage of the database never ends it."""
        while True:
            try:
                await self._listen()
            except DatabaseUnavailableError as error:
                _log.warning("not_listening", error=error.message, retry_in_s=round(self._pause_s, 1))
            finally:
                self.listening.clear()
            await asyncio.sleep(self._pause_s * random.uniform(0.5, 1.0))  # noqa: S311 — jitter, no secret
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)

    async def _listen(self) -> None:
        with told_as_unavailable():
            connection = await self._connect()
            try:
                self._lost = False
                connection.add_termination_listener(self._on_end)
                for channel in self._followers:
                    await connection.add_listener(channel, self._on_notify)
                for read_again in self._followers.values():
                    await read_again(None)
                self._pause_s = FIRST_PAUSE_S
                self.listening.set()
                await self._follow(connection)
            finally:
                connection.remove_termination_listener(self._on_end)
                connection.terminate()

    async def _follow(self, connection: asyncpg.Connection) -> None:
        while not self._lost:
            try:
                async with asyncio.timeout(PROBE_S):
                    await self._woken.wait()
            except TimeoutError:
                await connection.execute("SELECT 1", timeout=PROBE_TIMEOUT_S)
            self._woken.clear()
            for channel, read_again in self._followers.items():
                named, self._named[channel] = self._named[channel], set()
                if named:
                    await read_again(tuple(named))
        raise DatabaseUnavailableError("the connection that listens for changes was closed")

    def _on_notify(self, _connection: object, _process: int, channel: str, payload: str) -> None:
        self._named[channel].add(payload)
        self._woken.set()

    def _on_end(self, _connection: object) -> None:
        self._lost = True
        self._woken.set()
