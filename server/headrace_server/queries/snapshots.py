"""The way of reads to the database: few at a time, each in one read-only transaction that sees one moment.

Reads have a pool of their own, so that the heaviest takes nothing from ingest but the database's own time. Whoever
finds all of its connections in use is told to come back rather than queued: a queue would only hide the load. What was
acked before a snapshot is taken is in it, since an ack follows its COMMIT.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from headrace_server.errors import DatabaseUnavailableError, QueryTooSlowError, ReadersBusyError
from headrace_server.storage.outage import told_as_unavailable

ACQUIRE_TIMEOUT_S = 10.0


class Snapshots:
    """Gives connections for reading.

    Args:
        pool: Of reading connections (storage/pool.py).
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._most = pool.get_max_size()
        self.open = 0

    @asynccontextmanager
    async def one(self) -> AsyncIterator[asyncpg.Connection]:
        """Give a connection that sees the database as it is at its first statement, until the block ends.

        Raises:
            ReadersBusyError: All connections are in use.
            QueryTooSlowError: A statement took longer than it may.
            DatabaseUnavailableError: The database does not answer.
        """
        if self.open >= self._most:
            raise ReadersBusyError(
                f"{self._most} reads are under way, the most at a time (queries.max_concurrent): try again"
            )
        self.open += 1
        try:
            with told_as_unavailable():
                async with (
                    self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection,
                    connection.transaction(isolation="repeatable_read", readonly=True),
                ):
                    yield connection
        except DatabaseUnavailableError as error:
            if isinstance(error.__cause__, asyncpg.QueryCanceledError):
                raise QueryTooSlowError(
                    "the read took longer than it may (queries.statement_timeout_s): ask for less time, fewer ids, or"
                    " an event_time"
                ) from error
            raise
        finally:
            self.open -= 1
