# ruff: noqa: PLC0415
"""A connection to the database for verbs that work beside it, whether a service is running or not.

Whoever has the database's URL has everything in it, so these verbs ask for no key: with them the first key is made.
"""

from __future__ import annotations

import asyncio
import getpass
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from headrace_server.cli.effective_settings import embedded
from headrace_server.cli.failure import fail

if TYPE_CHECKING:
    import asyncpg

    from headrace_server.access.audit import Actor
    from headrace_server.config import Database

Result = TypeVar("Result")


def beside(database: Database, work: Callable[[asyncpg.Connection], Awaitable[Result]]) -> Result:
    """Return what `work` does over a connection to the database, or end the process with what is wrong.

    An embedded database that does not run is started for it, and stopped again.

    Args:
        database: The settings of the database.
        work: What is to be done.
    """
    import asyncpg

    from headrace_server.errors import HeadraceError
    from headrace_server.storage.edition import UnsuitableDatabaseError
    from headrace_server.storage.embedded import EmbeddedDatabaseError

    try:
        return asyncio.run(_upon(database, work))
    except HeadraceError as error:
        fail(error.message)
    except (UnsuitableDatabaseError, EmbeddedDatabaseError) as error:
        fail(error)
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"the database at {database.place} cannot be used: {str(error) or 'it does not answer'}")


def beside_migrated(database: Database, work: Callable[[asyncpg.Connection], Awaitable[Result]]) -> Result:
    """Return what `work` does over a connection to the database with headrace's schema up to date; as beside."""

    async def migrated(connection: asyncpg.Connection) -> Result:
        from headrace_server.storage.migrate import migrate

        await migrate(connection)
        return await work(connection)

    return beside(database, migrated)


async def _upon(database: Database, work: Callable[[asyncpg.Connection], Awaitable[Result]]) -> Result:
    from headrace_server.storage.edition import probe
    from headrace_server.storage.pool import connect

    async with _url(database) as url:
        connection = await connect(url, instance="cli", connect_timeout_s=database.connect_timeout_s)
        try:
            await probe(connection, allow_fsync_off=database.allow_fsync_off)
            return await work(connection)
        finally:
            await connection.close()


@asynccontextmanager
async def _url(database: Database) -> AsyncIterator[str]:
    from headrace_server.storage.embedded import EmbeddedDatabase, locate

    if database.url is not None:
        yield database.url.get_secret_value()
        return
    location = locate(embedded(database))
    if location is not None and location.running:
        yield location.public_url
        return
    owned = EmbeddedDatabase(embedded(database))
    await owned.start()
    try:
        yield owned.url
    finally:
        await owned.stop()


def this_account() -> Actor:
    """Return who types, for the audit log."""
    from headrace_server.access.audit import Actor

    try:
        account = getpass.getuser()
    except (KeyError, OSError):  # a container's account without a name
        account = "unknown"
    return Actor(f"cli:{account}", socket.gethostname())
