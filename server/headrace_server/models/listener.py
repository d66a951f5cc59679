"""Keeps this process's registry true to the database: one LISTEN connection, one task.

In: NOTIFYs that name a changed model. Out: that model re-read, and its subscribers told. The connection's callback
only notes the name in a set (bounded by the number of models) and wakes the task, which reads. NOTIFYs sent while the
connection was down are lost, so after each LISTEN everything in the cache is read again; in between, a probe finds a
connection that died without a word.
"""

import asyncio
import random

import asyncpg
import structlog

from headrace_server.errors import DatabaseUnavailableError
from headrace_server.models.catalog import Key
from headrace_server.models.ddl_transaction import CHANNEL
from headrace_server.models.registry import Registry
from headrace_server.storage.outage import told_as_unavailable
from headrace_server.storage.pool import Connect

PROBE_S = 30.0
PROBE_TIMEOUT_S = 10.0
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0

_log = structlog.get_logger(__name__)


class ModelListener:
    """Follows changes of models that other processes make.

    Args:
        connect: Opens its connection.
        registry: Is told what to read again.
    """

    def __init__(self, connect: Connect, registry: Registry) -> None:
        self._connect = connect
        self._registry = registry
        self._named: set[Key] = set()
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
                _log.warning("registry_not_listening", error=error.message, retry_in_s=round(self._pause_s, 1))
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
                await connection.add_listener(CHANNEL, self._on_notify)
                await self._registry.refresh()
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
            named, self._named = self._named, set()
            await self._registry.refresh(tuple(named))
        raise DatabaseUnavailableError("the connection that listens for changes was closed")

    def _on_notify(self, _connection: object, _process: int, _channel: str, payload: str) -> None:
        project, _, sql_name = payload.partition(".")
        self._named.add((project, sql_name))
        self._woken.set()

    def _on_end(self, _connection: object) -> None:
        self._lost = True
        self._woken.set()
