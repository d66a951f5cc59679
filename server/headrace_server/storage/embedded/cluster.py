"""PostgreSQL's own folder: made once by initdb, then given its database, its extension and its password.

`initialise` works in a folder beside the final one and renames it, so a killed attempt leaves nothing that looks like
data. `complete` may be cut short anywhere and run again: a database found half furnished is finished at the next start.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import asyncpg

from headrace_server.storage.embedded.account import Account
from headrace_server.storage.embedded.command import run
from headrace_server.storage.embedded.errors import CommandError, DataDirectoryError
from headrace_server.storage.embedded.installation import Installation
from headrace_server.storage.embedded.layout import DATABASE, ROLE, Access, DataDirectory, making_folder

INITDB_TIMEOUT_S = 120.0
SQL_TIMEOUT_S = 60.0
# From 17 on PostgreSQL has C.UTF-8 within, the same on every machine; before, the C library's is as close as it gets.
BUILTIN_LOCALE_MAJOR = 17


async def initialise(directory: DataDirectory, installation: Installation, account: Account | None) -> None:
    """Make the cluster folder with page checksums, UTF-8 and C.UTF-8, its superuser being our role.

    Raises:
        DataDirectoryError: initdb failed.
    """
    making = await asyncio.to_thread(making_folder, directory.cluster)
    if account is not None:
        os.chown(making, account.uid, account.gid)
    locale = ["--locale=C.UTF-8"]
    if installation.major >= BUILTIN_LOCALE_MAJOR:
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    command: list[str | Path] = [
        *(installation.programs / "initdb", "--pgdata", making, "--username", ROLE, "--encoding=UTF8"),
        *("--data-checksums", "--auth=reject", "--no-instructions", *locale),
    ]
    try:
        await run(command, timeout_s=INITDB_TIMEOUT_S, account=account)
    except CommandError as error:
        raise DataDirectoryError(f"the database could not be made in {directory.folder}: {error}") from error
    making.rename(directory.cluster)


async def complete(directory: DataDirectory, access: Access) -> None:
    """See that the role has its password, and that its database exists with the TimescaleDB that is installed.

    Raises:
        OSError, asyncpg.PostgresError: The database does not do what it is asked.
    """
    async with asyncio.timeout(SQL_TIMEOUT_S):
        connection = await _connect(directory, access, "postgres")
        try:
            # Our own characters (base64url): nothing in them needs quoting.
            await connection.execute(f"ALTER ROLE {ROLE} PASSWORD '{access.password}'")
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await connection.close()
        # The update has to be the first statement of its session: any other loads the library of the version before,
        # which is gone when PostgreSQL's packages were renewed.
        connection = await _connect(directory, access, DATABASE)
        try:
            await connection.execute("ALTER EXTENSION timescaledb UPDATE")
        except asyncpg.UndefinedObjectError:
            await connection.execute("CREATE EXTENSION timescaledb")
        finally:
            await connection.close()


async def _connect(directory: DataDirectory, access: Access, database: str) -> asyncpg.Connection:
    return await asyncpg.connect(
        host=str(directory.socket_folder), port=access.port, user=ROLE, database=database, timeout=SQL_TIMEOUT_S
    )
