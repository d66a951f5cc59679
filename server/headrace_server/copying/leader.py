"""One replica at a time: work that has to be done once for all replicas, by whoever holds an advisory lock.

The lock lives as long as its connection; the other replicas ask for it now and then and so take over. Work is done when
somebody calls for it, here or by NOTIFY from a replica that does not lead, and at the latest after a while. It rests in
proportion to what it took, so however much there is to do, most of the time it is in nobody's way.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

import structlog

from headrace_server.copying.connection import DATABASE_ERRORS, Connect, Connection
from headrace_server.errors import DatabaseUnavailableError

log = structlog.get_logger(__name__)

RETRY_S = 5.0
LOCK_TIMEOUT_MS = 2_000
REST = 9.0  # seconds of rest for each second of work: what nobody waits for has a tenth of a core at most

_LEAD = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))"


class Leader:
    """Does a piece of work while it runs, if no other replica does.

    Args:
        connect: Opens its connection.
        work: The work, on that connection, in no transaction; does what is due and returns.
        name: Names the lock and the channel, alike on all replicas.
        every_s: Longest time between two turns.
        gather_s: Time from a call to the turn it asked for, so that what is called for comes as one set.
    """

    def __init__(
        self,
        connect: Connect,
        work: Callable[[Connection], Awaitable[None]],
        *,
        name: str,
        every_s: float,
        gather_s: float,
    ) -> None:
        self._connect = connect
        self._work = work
        self._name = name
        self._every_s = every_s
        self._gather_s = gather_s
        self._called = asyncio.Event()
        self._ours = False

    def wake(self) -> None:
        """Call for a turn soon, by this replica or by the one that leads. Never blocks."""
        self._ours = True
        self._called.set()

    async def run(self) -> None:
        """Work until cancelled; owned by the caller's TaskGroup. An outage of the database only postpones it."""
        while True:
            try:
                await self._follow_calls()
            except (*DATABASE_ERRORS, DatabaseUnavailableError) as error:
                log.warning("leader_interrupted", name=self._name, error=repr(error))
            await asyncio.sleep(RETRY_S)

    async def _follow_calls(self) -> None:
        connection = await self._connect()
        try:
            await connection.execute(f"SET lock_timeout = {LOCK_TIMEOUT_MS}")
            await connection.add_listener(self._channel, self._on_notify)
            leads = False
            while True:
                leads = leads or await connection.fetchval(_LEAD, self._name)
                ours, self._ours = self._ours, False
                begun = monotonic()
                if leads:
                    await self._work(connection)
                elif ours:
                    await connection.execute("SELECT pg_notify($1, '')", self._channel)
                await self._until_called(monotonic() - begun)
        finally:
            connection.terminate()

    async def _until_called(self, worked_s: float) -> None:
        try:
            async with asyncio.timeout(self._every_s):
                await self._called.wait()
        except TimeoutError:
            return
        await asyncio.sleep(max(self._gather_s, REST * worked_s))
        self._called.clear()

    @property
    def _channel(self) -> str:
        return self._name.replace(".", "_")

    def _on_notify(self, *_: object) -> None:
        self._called.set()
