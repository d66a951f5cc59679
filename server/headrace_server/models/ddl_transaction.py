"""Runs the changes of one model: a transaction on a connection of its own, one model at a time over all replicas.

In: what to do, as a coroutine function over the connection. Out: what it returns, committed. DDL never runs on a
copier's connection: an ALTER after a COPY in the same session deadlocks with another copier's. An ALTER waits for the
COPYs that are open, and everything new waits behind it; so it gives up after a second, lets them pass, and tries
again, until its deadline. Each try runs `work` from the start in a new transaction, so `work` must read what it
decides by through the connection.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from headrace_server.storage.outage import told_as_unavailable
from headrace_server.storage.pool import Connect
from headrace_server.storage.waited_for import MARK

LOCK_TIMEOUT_MS = 1_000
DEADLINE_S = 30.0

# Almost everything is done in milliseconds; the first label of a large APPEND model builds an index over its events.
STATEMENT_TIMEOUT_S = 600
PAUSE_S = (0.05, 0.5)

CHANNEL = "headrace_models"

# A lock not had in time, a deadlock, or a transaction that PostgreSQL could not order: the next try may pass.
_PASSING = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError)

Result = TypeVar("Result")


async def change_model(
    connect: Connect, project: str, sql_name: str, work: Callable[[asyncpg.Connection], Awaitable[Result]]
) -> Result:
    """Do `work` while no other process changes the model.

    Raises:
        DatabaseUnavailableError: The database does not answer, or the table's locks were not had in 30 seconds.
    """
    with told_as_unavailable():
        connection = await connect()
        try:
            return await change_on(connection, project, sql_name, work)
        finally:
            # Nothing is open any more; a polite goodbye could hang on a dead server.
            connection.terminate()


async def change_on(
    connection: asyncpg.Connection,
    project: str,
    sql_name: str,
    work: Callable[[asyncpg.Connection], Awaitable[Result]],
) -> Result:
    """Do `work` while no other process changes the model, on a connection that COPYs no rows of others meanwhile.

    Raises:
        asyncpg.PostgresError, OSError: As `work` raised it, or the locks were not had in 30 seconds.
    """
    deadline = asyncio.get_running_loop().time() + DEADLINE_S
    while True:
        try:
            return await _once(connection, project, sql_name, work)
        except _PASSING:
            if asyncio.get_running_loop().time() >= deadline:
                raise
        await asyncio.sleep(random.uniform(*PAUSE_S))  # noqa: S311 — jitter, no secret


async def _once(
    connection: asyncpg.Connection, project: str, sql_name: str, work: Callable[[asyncpg.Connection], Awaitable[Result]]
) -> Result:
    async with connection.transaction():
        await connection.execute(
            f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}; SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT_S}s'"
        )
        await connection.execute(
            f"SELECT {MARK}, pg_advisory_xact_lock(hashtextextended($1, 0))", f"headrace.model {project}.{sql_name}"
        )
        return await work(connection)


async def announce(connection: asyncpg.Connection, project: str, sql_name: str) -> None:
    """Tell every registry of the change, at the COMMIT of the transaction that made it."""
    await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, f"{project}.{sql_name}")


async def extension_schema(connection: asyncpg.Connection) -> str:
    """Return the quoted name of the schema that holds TimescaleDB's functions."""
    schema: str = await connection.fetchval(
        """
        SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname = 'timescaledb'
        """
    )
    return schema
