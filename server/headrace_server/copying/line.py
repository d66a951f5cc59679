"""A connection of a copier's own: opened when first needed, and again whenever it broke."""

import asyncio

from headrace_server.copying.connection import DATABASE_ERRORS, Connect, Connection

LOCK_TIMEOUT_MS = 5_000  # a waiter looks for a frozen holder this often (copying/frozen.py)


class Line:
    """One connection for one task."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._connection: Connection | None = None

    async def ready(self) -> Connection:
        """The connection, opened if need be.

        Raises:
            asyncpg.PostgresError, OSError, TimeoutError: The database cannot be reached.
        """
        if self._connection is None or self._connection.is_closed():
            connection = await self._connect()
            try:
                await connection.execute(f"SET lock_timeout = {LOCK_TIMEOUT_MS}")
            except BaseException:
                connection.terminate()
                raise
            self._connection = connection
        return self._connection

    def drop(self) -> None:
        """Let go of the connection at once; whatever it was doing has an unknown outcome."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def close(self, timeout_s: float = 1.0) -> None:
        """Close the connection in good order, or let go of it."""
        if self._connection is None:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await self._connection.close()
        except DATABASE_ERRORS:
            self.drop()
        self._connection = None
