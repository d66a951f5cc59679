"""The database the service writes to: its own embedded one, or the server it was given; looked over and migrated.

In: the settings. Out: a `Database` whose `connect` opens connections that all promise the same (storage/pool.py). When
the block ends an embedded database is stopped; a given server is left alone. Who only keeps the database up, for other
processes to work with, asks for a `Ground`: it is a URL, and holds no connection.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import asyncpg
import structlog

from headrace_server.config import Database as DatabaseSettings
from headrace_server.config import Queries
from headrace_server.storage import edition, migrate, pool
from headrace_server.storage.embedded import MAX_CONNECTIONS, EmbeddedDatabase, EmbeddedSettings

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Database:
    """A database that is ready.

    Attributes:
        connect: Opens a connection of one's own.
        pool: For short statements; acquire with a timeout.
        reading_pool: For reading back alone, so that reads take nothing from ingest.
        edition: What the database is.
        embedded: The embedded database, if it is one: it wants to be supervised.
    """

    connect: pool.Connect
    pool: asyncpg.Pool
    reading_pool: asyncpg.Pool
    edition: edition.Edition
    embedded: EmbeddedDatabase | None

    async def probe(self) -> None:
        """Ask the database whether it would take a commit now.

        Raises:
            Exception: It would not.
        """
        async with self.pool.acquire(timeout=PROBE_TIMEOUT_S) as connection:
            standby = await connection.fetchval("SELECT pg_is_in_recovery()", timeout=PROBE_TIMEOUT_S)
        if standby:
            await self.pool.expire_connections()  # the primary is elsewhere by now, and so shall the next ones be
            raise ConnectionError("the server is a standby")


PROBE_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Ground:
    """Where a database is that runs.

    Attributes:
        url: Its URL, with what secrets it takes.
        place: The URL without its secrets, for logs and people.
        embedded: The embedded database, if it is one: it wants to be supervised.
    """

    url: str
    place: str
    embedded: EmbeddedDatabase | None


@asynccontextmanager
async def open_database(
    settings: DatabaseSettings, instance: str, queries: Queries | None = None
) -> AsyncIterator[Database]:
    """Bring the database up, look it over, migrate it.

    Raises:
        EmbeddedDatabaseError: The embedded database cannot be had; the text says what to do.
        UnsuitableDatabaseError: The server cannot be used; the text says what is missing.
        OSError: The server cannot be reached.
    """
    async with (
        standing_database(settings) as ground,
        _open(ground, settings, queries or Queries(), instance) as database,
    ):
        yield database


@asynccontextmanager
async def standing_database(settings: DatabaseSettings, *, max_connections: int = 0) -> AsyncIterator[Ground]:
    """Bring the embedded database up, and stop it after the block; a given server is taken to be up.

    Args:
        settings: Which one.
        max_connections: Connections that an embedded database has to take at least; what it always takes by default.

    Raises:
        EmbeddedDatabaseError: The embedded database cannot be had; the text says what to do.
    """
    if settings.url is not None:
        yield Ground(settings.url.get_secret_value(), settings.place, None)
        return
    more = {"max_connections": str(max_connections)} if max_connections > MAX_CONNECTIONS else {}
    embedded = EmbeddedDatabase(
        EmbeddedSettings(
            data_dir=settings.data_dir,
            port=settings.port,
            runtime_dir=settings.runtime_dir,
            ballast_bytes=settings.ballast_bytes,
            server_settings=more,
        ),
        on_event=lambda name, facts: log.info(name, **facts),
    )
    await embedded.start()
    try:
        yield Ground(embedded.url, settings.place, embedded)
    finally:
        await asyncio.shield(embedded.stop())


async def look_over(connection: asyncpg.Connection, settings: DatabaseSettings, place: str) -> edition.Edition:
    """See that the database can be used, and bring headrace's schema in it up to date.

    Args:
        connection: In no transaction.
        settings: What is allowed.
        place: Where it is, for the log.

    Raises:
        UnsuitableDatabaseError: It cannot be used; the text says what is missing.
    """
    found = await edition.probe(connection, allow_fsync_off=settings.allow_fsync_off)
    applied = await migrate.migrate(connection)
    log.info(
        "database_ready",
        place=place,
        postgres=found.postgres,
        timescaledb=".".join(map(str, found.timescaledb)),
        edition="community" if found.community else "apache",
        migrated=applied,
    )
    return found


@asynccontextmanager
async def _open(ground: Ground, settings: DatabaseSettings, queries: Queries, instance: str) -> AsyncIterator[Database]:
    url = ground.url
    connect = partial(
        pool.connect,
        url,
        instance=instance,
        connect_timeout_s=settings.connect_timeout_s,
        command_timeout_s=settings.command_timeout_s,
    )
    connection = await connect()
    try:
        found = await look_over(connection, settings, ground.place)
    finally:
        await connection.close()
    connections = await pool.create_pool(
        url,
        instance=instance,
        connect_timeout_s=settings.connect_timeout_s,
        command_timeout_s=settings.command_timeout_s,
    )
    reading = await pool.create_reading_pool(
        url,
        instance=instance,
        size=queries.max_concurrent,
        statement_timeout_s=queries.statement_timeout_s,
        idle_timeout_s=queries.not_read_timeout_s,
        connect_timeout_s=settings.connect_timeout_s,
    )
    try:
        yield Database(connect, connections, reading, found, ground.embedded)
    finally:
        connections.terminate()
        reading.terminate()
