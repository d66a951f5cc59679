"""What a connection is to the copiers, how they get one, what it may throw at them, and their one way to a transaction.

A connection whose state nobody knows is let go of: waiting for a rollback on it would wait for a server that may be
frozen, and the server rolls back by itself when its client is gone.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[Any]"
Connect = Callable[[], Awaitable[Connection]]

# What a connection can throw at its user; everything else is a defect of ours. InternalClientError is asyncpg's word
# for answers it cannot follow, and for hosts none of which is a primary.
DATABASE_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
    EOFError,
)


@asynccontextmanager
async def transaction(connection: Connection) -> AsyncIterator[None]:
    """Run the block in a transaction, or under a savepoint inside one.

    Read committed whatever the database's default is: the claim must see what was committed while it waited for locks.

    Raises:
        asyncpg.PostgresError: Rolled back by PostgreSQL's own word; the connection can be used again.
        BaseException: Anything else. The connection is closed; whether a COMMIT took place is not known.
    """
    begun = connection.transaction(isolation=None if connection.is_in_transaction() else "read_committed")
    await _or_let_go(connection, begun.start())
    try:
        yield
    except asyncpg.PostgresError:
        if not connection.is_closed():
            await _or_let_go(connection, begun.rollback())
        raise
    except BaseException:
        connection.terminate()
        raise
    await _or_let_go(connection, begun.commit())


async def _or_let_go(connection: Connection, statement: Awaitable[None]) -> None:
    try:
        await statement
    except BaseException:
        connection.terminate()
        raise
