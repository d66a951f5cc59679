"""Tells a database that cannot be used now from a statement that is wrong: the first is worth trying again.

In: what asyncpg raised. Out: DatabaseUnavailableError, which carries RetryInfo to the caller; everything else passes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from headrace_server.errors import DatabaseUnavailableError

OUTAGES = (
    OSError,  # TimeoutError among them
    asyncpg.PostgresConnectionError,  # 08
    asyncpg.InsufficientResourcesError,  # 53
    asyncpg.OperatorInterventionError,  # 57
    asyncpg.PostgresSystemError,  # 58
    asyncpg.ReadOnlySQLTransactionError,  # 25006: a primary that became a standby
    asyncpg.LockNotAvailableError,  # 55P03
    asyncpg.TransactionRollbackError,  # 40
    asyncpg.InternalClientError,  # answers it cannot follow: the connection broke in the middle of one
)


@contextmanager
def told_as_unavailable() -> Iterator[None]:
    """Raise DatabaseUnavailableError for an outage inside the block."""
    try:
        yield
    except OUTAGES as error:
        raise DatabaseUnavailableError(f"the database does not answer: {_words(error)}") from error
    except asyncpg.InterfaceError as error:
        # The same class tells of a connection that is gone and of a misuse; arguments that do not fit are ValueErrors.
        if isinstance(error, ValueError):
            raise
        raise DatabaseUnavailableError(f"the database does not answer: {_words(error)}") from error


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
