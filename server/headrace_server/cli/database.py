# ruff: noqa: PLC0415
"""`headrace db`: where the database is, a terminal in it, and its schema brought up to date."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import typer

from headrace_server.cli.at_database import beside, beside_migrated, this_account
from headrace_server.cli.effective_settings import embedded, loaded
from headrace_server.cli.failure import fail
from headrace_server.cli.options import ConfigFile, DataDir

if TYPE_CHECKING:
    from headrace_server.config import Database
    from headrace_server.storage.embedded import EmbeddedLocation

verbs = typer.Typer(help="The database that the service writes to.", no_args_is_help=True)

NONE_YET = "there is no embedded database yet: start one with headrace serve, or set HEADRACE_DATABASE_URL"
STOPPED = "the embedded database is stopped: start it with headrace serve"


@verbs.command()
def url(config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Print the database's URL, password and all: psql "$(headrace db url)"."""
    database = _database(config, data_dir)
    typer.echo(database.url.get_secret_value() if database.url else _running(database).public_url)


@verbs.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def psql(context: typer.Context, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Open psql in the database; what follows is passed on: headrace db psql -c 'SELECT 1'."""
    database = _database(config, data_dir)
    if database.url:
        program, target = shutil.which("psql"), database.url.get_secret_value()
    else:
        location = _running(database)
        program, target = _psql_of(location), location.public_url
    if program is None:
        fail("psql is not installed: install PostgreSQL's client (Debian: apt install postgresql-client)")
    shown, password = without_password(target)
    environment = os.environ | ({"PGPASSWORD": password} if password else {})
    os.execve(program, ["psql", shown, *context.args], environment)  # noqa: S606 — becomes psql, on purpose


@verbs.command()
def migrate(config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Bring headrace's schema up to date, as serve does when it starts."""
    from headrace_server.storage.migrate import migrate as migrate_schema

    applied = beside(_database(config, data_dir), migrate_schema)
    typer.echo(f"applied {', '.join(map(str, applied))}" if applied else "nothing to do")


@verbs.command()
def reader(
    project: Annotated[str, typer.Argument(metavar="PROJECT", help="Project whose schema it may read.")],
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Make the database role that reads one project's schema and nothing else; print its URL, password and all.

    Again, it gives the role a new password.
    """
    import asyncpg

    from headrace_server.access.readers import renew_reader

    settings = _database(config, data_dir)
    place = settings.url.get_secret_value() if settings.url else _running(settings).public_url

    async def work(connection: asyncpg.Connection) -> tuple[str, str]:
        return await renew_reader(connection, project, this_account())

    role, password = beside_migrated(settings, work)
    typer.echo(as_role(place, role, password))
    typer.echo(f"{role} reads the schema {project}; its password is not shown again", err=True)


def as_role(target: str, role: str, password: str) -> str:
    """Return a URL of the same database for another role."""
    parts = urlsplit(target)
    return urlunsplit(parts._replace(netloc=f"{quote(role)}:{quote(password)}@{parts.netloc.rpartition('@')[2]}"))


def _database(config: Path | None, data_dir: Path | None) -> Database:
    return loaded(config, {"database.data_dir": data_dir}).settings.database


def _running(database: Database) -> EmbeddedLocation:
    from headrace_server.storage.embedded import locate

    location = locate(embedded(database))
    if location is None:
        fail(NONE_YET)
    if not location.running:
        fail(STOPPED)
    return location


def _psql_of(location: EmbeddedLocation) -> str | None:
    beside = location.installation.psql if location.installation else None
    return str(beside) if beside and beside.exists() else shutil.which("psql")


def without_password(target: str) -> tuple[str, str]:
    """Return a URL without its password, and the password: a process's arguments are for all to see."""
    parts = urlsplit(target)
    if parts.password is None:
        return target, ""
    user = parts.netloc.rpartition("@")[0].partition(":")[0]
    return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}")), unquote(parts.password)
