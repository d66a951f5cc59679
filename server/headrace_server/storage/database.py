"""The database the service writes to: its own embedded one, or the server it was given; looked over and migrated.

In: the settings. Out: a `Database` whose `connect` opens connections that all promise the same (storage/pool.py). When
the block ends an embedded database is stopped; a given server is left alone.
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
from headrace_server.storage.embedded import EmbeddedDatabase, EmbeddedSettings

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
    queries = queries or Queries()
    if settings.url is not None:
        async with _open(settings.url.get_secret_value(), settings, queries, instance, None) as database:
            yield database
        return
    embedded = EmbeddedDatabase(
        EmbeddedSettings(
            data_dir=settings.data_dir,
            port=settings.port,
            runtime_dir=settings.runtime_dir,
            ballast_bytes=settings.ballast_bytes,
        ),
        on_event=lambda name, facts: log.info(name, **facts),
    )
    await embedded.start()
    try:
        async with _open(embedded.url, settings, queries, instance, embedded) as database:
            yield database
    finally:
        await asyncio.shield(embedded.stop())


@asynccontextmanager
async def _open(
    url: str, settings: DatabaseSettings, queries: Queries, instance: str, embedded: EmbeddedDatabase | None
) -> AsyncIterator[Database]:
    connect = partial(
        pool.connect,
        url,
        instance=instance,
        connect_timeout_s=settings.connect_timeout_s,
        command_timeout_s=settings.command_timeout_s,
    )
    connection = await connect()
    try:
        found = await edition.probe(connection, allow_fsync_off=settings.allow_fsync_off)
        applied = await migrate.migrate(connection)
    finally:
        await connection.close()
    log.info(
        "database_ready",
        place="embedded" if embedded else settings.place,
        postgres=found.postgres,
        timescaledb=".".join(map(str, found.timescaledb)),
        edition="community" if found.community else "apache",
        migrated=applied,
    )
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
        yield Database(connect, connections, reading, found, embedded)
    finally:
        connections.terminate()
        reading.terminate()
