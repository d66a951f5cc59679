"""Brings the service's own schema, `headrace`, to the version this release knows.

In: a connection in no transaction. Out: the numbers of the migrations that were applied now. Migrations are the
numbered SQL files of storage/migrations; each runs in one transaction together with its line in headrace.migrations.
One process at a time, whoever starts first; the others wait and find nothing left to do. Nothing is ever migrated
down.

Every file begins with `-- needs: N`: a service that knows migration N may use the database after this one. So a release
whose changes are additive lets the replicas of the release before it start again, and one that is not locks them out.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources

import asyncpg

from headrace_server.storage.edition import UnsuitableDatabaseError

LOCK_TIMEOUT_S = 60

_LOCK = "SELECT pg_advisory_lock(hashtextextended('headrace.migrations', 0))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtextextended('headrace.migrations', 0))"


@dataclass(frozen=True)
class Migration:
    """One file of storage/migrations."""

    number: int
    name: str
    needs: int
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file, so that an applied one cannot change unnoticed."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@cache
def known() -> tuple[Migration, ...]:
    """Return the migrations of this release, in order."""
    folder = resources.files("headrace_server.storage") / "migrations"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return tuple(_read(file.name.removesuffix(".sql"), file.read_text(encoding="utf-8")) for file in files)


def _read(name: str, sql: str) -> Migration:
    first_line = sql.split("\n", 1)[0]
    return Migration(int(name.partition("_")[0]), name, int(first_line.removeprefix("-- needs:")), sql)


async def migrate(connection: asyncpg.Connection, migrations: tuple[Migration, ...] | None = None) -> list[int]:
    """Apply what is missing.

    Args:
        connection: In no transaction; the database has been probed (storage/edition.py).
        migrations: Those to bring it to; this release's by default.

    Raises:
        UnsuitableDatabaseError: The database is newer than this release, or was changed by other hands.
        asyncpg.LockNotAvailableError: Another process has been migrating for a minute.
    """
    migrations = known() if migrations is None else migrations
    await connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'")
    await connection.execute(_LOCK)
    try:
        applied = await _applied(connection)
        _recognise(applied, migrations)
        missing = [migration for migration in migrations if migration.number not in applied]
        for migration in missing:
            await _apply(connection, migration)
        return [migration.number for migration in missing]
    finally:
        # A lost connection has let go of both by itself.
        if not connection.is_closed():
            await connection.execute(f"{_UNLOCK}; RESET lock_timeout")


async def _applied(connection: asyncpg.Connection) -> dict[int, asyncpg.Record]:
    await connection.execute(
        """
        CREATE SCHEMA IF NOT EXISTS headrace;
        CREATE TABLE IF NOT EXISTS headrace.migrations (
            number integer PRIMARY KEY,
            name text NOT NULL,
            needs integer NOT NULL,
            checksum text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT now()
        );
        COMMENT ON TABLE headrace.migrations IS 'What has been applied to this schema (storage/migrate.py).';
        """
    )
    rows = await connection.fetch("SELECT number, name, needs, checksum FROM headrace.migrations")
    return {row["number"]: row for row in rows}


def _recognise(applied: dict[int, asyncpg.Record], migrations: tuple[Migration, ...]) -> None:
    ours = {migration.number: migration for migration in migrations}
    newest = max(ours)
    for number, row in applied.items():
        if number not in ours:
            if row["needs"] > newest:
                raise UnsuitableDatabaseError(
                    f"the database was migrated by a newer headrace (migration {row['name']}), which this release"
                    " cannot use: start the newer release"
                )
        elif row["checksum"] != ours[number].checksum:
            raise UnsuitableDatabaseError(
                f"migration {row['name']} of the database is not the one of this release: it was made by another build"
            )


async def _apply(connection: asyncpg.Connection, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(migration.sql)
        await connection.execute(
            "INSERT INTO headrace.migrations (number, name, needs, checksum) VALUES ($1, $2, $3, $4)",
            migration.number,
            migration.name,
            migration.needs,
            migration.checksum,
        )
