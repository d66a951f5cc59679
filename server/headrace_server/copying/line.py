"""A connection of a copier's own: opened when first needed, and again whenever it broke."""

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
            ConnectionError: The database takes no connection, for whatever reason: nothing that was to be written is
                at fault.
        """
        if self._connection is None or self._connection.is_closed():
            try:
                self._connection = await self._open()
            except DATABASE_ERRORS as error:
                raise ConnectionError(f"the database takes no connection: {error!r}") from error
        return self._connection

    def drop(self) -> None:
        """Let go of the connection at once; whatever it was doing has an unknown outcome."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _open(self) -> Connection:
        connection = await self._connect()
        try:
            await connection.execute(f"SET lock_timeout = {LOCK_TIMEOUT_MS}")
        except BaseException:
            connection.terminate()
            raise
        return connection
