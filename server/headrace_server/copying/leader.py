"""One replica at a time: work that has to be done once for all replicas, by whoever holds an advisory lock.

The lock lives as long as its connection; the other replicas ask for it now and then and so take over. Work is done when
somebody calls for it, here or by NOTIFY from a replica that does not lead, and at the latest after a while. While calls
keep coming it rests in proportion to what it took, so however much there is to do, most of the time it is in nobody's
way; once they have ceased it goes on at once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic

import structlog

from headrace_server.copying.connection import DATABASE_ERRORS, Connect, Connection
from headrace_server.errors import DatabaseUnavailableError

log = structlog.get_logger(__name__)

RETRY_S = 5.0
LOCK_TIMEOUT_MS = 2_000
REST = 9.0  # seconds of rest for each second of work: what nobody waits for has a tenth of a core at most
CALM_S = 2.0  # without a call: then there is nobody to rest for

_LEAD = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))"


class Leader:
    """Does a piece of work while it runs, if no other replica does.

    Args:
        connect: Opens its connection.
        work: The work, on that connection, in no transaction; does what is due, for a while, and returns whether it
            left some of it.
        name: Names the lock and the channel, alike on all replicas.
        every_s: Longest time between two turns.
        gather_s: Time from a call to the turn it asked for, so that what is called for comes as one set.
    """

    def __init__(
        self,
        connect: Connect,
        work: Callable[[Connection], Awaitable[bool]],
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
        self._called_at = 0.0
        self._ours = False

    def wake(self) -> None:
        """Call for a turn soon, by this replica or by the one that leads. Never blocks."""
        self._ours = True
        self._called_at = monotonic()
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
                begun, has_more = monotonic(), False
                if leads:
                    has_more = await self._work(connection)
                elif ours:
                    await connection.execute("SELECT pg_notify($1, '')", self._channel)
                ended = monotonic()
                if not has_more:
                    await self._until_called()
                await self._rest_until(ended + REST * (ended - begun))
        finally:
            connection.terminate()

    async def _until_called(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._every_s):
                await self._called.wait()

    async def _rest_until(self, moment: float) -> None:
        """Let calls gather, and rest until the moment or until none has come for a while."""
        await asyncio.sleep(self._gather_s)
        while (left_s := min(moment, self._called_at + CALM_S) - monotonic()) > 0:  # noqa: ASYNC110 - calls move it
            await asyncio.sleep(left_s)
        self._called.clear()

    @property
    def _channel(self) -> str:
        return self._name.replace(".", "_")

    def _on_notify(self, *_: object) -> None:
        self._called_at = monotonic()
        self._called.set()
