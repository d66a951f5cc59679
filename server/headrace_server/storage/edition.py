"""Finds out which database this is, and refuses one that could not keep the promises.

In: a connection. Out: an `Edition`, the facts that the rest of the service decides by (what this TimescaleDB can do,
where its functions are). The checks run before the first socket opens; each error says what was found and what to do
about it.
"""

from dataclasses import dataclass

import asyncpg

OLDEST_POSTGRES = 15
OLDEST_TIMESCALEDB = (2, 19)


class UnsuitableDatabaseError(Exception):
    """The database is there, but it cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Edition:
    """What the database is.

    Attributes:
        postgres: Major version.
        timescaledb: Version, such as (2, 19, 3).
        community: The licence is Timescale's own, so columnstore, policies and continuous aggregates are there.
        extension_schema: Schema that holds TimescaleDB's functions.
    """

    postgres: int
    timescaledb: tuple[int, ...]
    community: bool
    extension_schema: str


async def probe(connection: asyncpg.Connection, *, allow_fsync_off: bool = False) -> Edition:
    """Look the database over and make the timescaledb extension in it when it is not there.

    Args:
        connection: In no transaction.
        allow_fsync_off: Accept a server that loses acknowledged rows when its machine stops; for throw-away data only.

    Raises:
        UnsuitableDatabaseError: It cannot be used.
    """
    facts = await connection.fetchrow(
        """
        SELECT current_setting('server_version_num')::int / 10000 AS postgres,
               current_setting('server_version') AS version,
               current_setting('fsync') AS fsync,
               current_setting('server_encoding') AS encoding,
               current_database() AS database,
               current_user AS role,
               pg_is_in_recovery() AS standby,
               has_database_privilege(current_database(), 'CREATE') AS may_create
        """
    )
    if facts["postgres"] < OLDEST_POSTGRES:
        raise UnsuitableDatabaseError(
            f"the server is PostgreSQL {facts['version']}; headrace needs {OLDEST_POSTGRES} or later"
        )
    if facts["standby"]:
        raise UnsuitableDatabaseError("the server is a standby and takes no writes; give the URL of the primary")
    if facts["encoding"] != "UTF8":
        raise UnsuitableDatabaseError(
            f"the database {facts['database']} is encoded in {facts['encoding']}; make one with ENCODING 'UTF8'"
        )
    if facts["fsync"] != "on" and not allow_fsync_off:
        raise UnsuitableDatabaseError(
            "the server runs with fsync=off: rows that were acknowledged would be lost when its machine stops."
            " Turn fsync on, or allow it by setting for data you can lose"
        )
    if not facts["may_create"]:
        raise UnsuitableDatabaseError(
            f"the role {facts['role']} may not create schemas in the database {facts['database']}:"
            f' run GRANT CREATE ON DATABASE "{facts["database"]}" TO "{facts["role"]}" as its owner'
        )
    return await _timescaledb(connection, facts["postgres"], facts["database"])


async def _timescaledb(connection: asyncpg.Connection, postgres: int, database: str) -> Edition:
    extension = await _installed(connection)
    if extension is None:
        await _install(connection, database)
        extension = await _installed(connection)
        if extension is None:
            raise UnsuitableDatabaseError(f"timescaledb vanished from the database {database}: start again")
    version = tuple(int(part) for part in extension["version"].split("-")[0].split("."))
    if version < OLDEST_TIMESCALEDB:
        raise UnsuitableDatabaseError(
            f"the database {database} has TimescaleDB {extension['version']}; headrace needs"
            f" {'.'.join(map(str, OLDEST_TIMESCALEDB))} or later: install it and run ALTER EXTENSION timescaledb UPDATE"
        )
    # The setting exists once the extension's library is loaded, which its first use in a session does.
    licence = await connection.fetchval("SHOW timescaledb.license")
    return Edition(postgres, version, licence == "timescale", extension["schema"])


async def _installed(connection: asyncpg.Connection) -> asyncpg.Record | None:
    return await connection.fetchrow(
        """
        SELECT e.extversion AS version, n.nspname AS schema
        FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname = 'timescaledb'
        """
    )


async def _install(connection: asyncpg.Connection, database: str) -> None:
    known = await connection.fetchrow(
        """
        SELECT default_version, current_setting('timescaledb.disable_load', true) IS NOT NULL AS preloaded
        FROM pg_available_extensions WHERE name = 'timescaledb'
        """
    )
    if known is None:
        raise UnsuitableDatabaseError(
            "the server has no TimescaleDB: install the timescaledb package for its PostgreSQL version, or start"
            " headrace without a database URL to use the embedded one"
        )
    if not known["preloaded"]:
        # CREATE EXTENSION would end the session without a word that helps.
        raise UnsuitableDatabaseError(
            "TimescaleDB is installed but not loaded: add timescaledb to shared_preload_libraries in postgresql.conf"
            " and restart PostgreSQL"
        )
    try:
        await connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    except asyncpg.InsufficientPrivilegeError as error:
        raise UnsuitableDatabaseError(
            f"the role may not add TimescaleDB to the database {database}: run CREATE EXTENSION timescaledb in it as"
            " its owner or as a superuser"
        ) from error
    except (asyncpg.UniqueViolationError, asyncpg.DuplicateObjectError):
        # Another replica made it at the same moment.
        return
