# ruff: noqa: PLC0415
"""`headrace keys`: API keys, made and ended beside the database; a running service hears of it at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from headrace_server.access.scope import Scope
from headrace_server.cli.at_database import beside_migrated, this_account
from headrace_server.cli.effective_settings import loaded
from headrace_server.cli.failure import MISUSED, fail
from headrace_server.cli.options import ConfigFile, DataDir

if TYPE_CHECKING:
    import asyncpg

    from headrace_server.access.key_text import KeyText
    from headrace_server.access.keys import Key

verbs = typer.Typer(help="API keys: who may come in, with what scopes, into which project.", no_args_is_help=True)

UNITS_S = {"m": 60, "h": 3_600, "d": 86_400}

Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the key: what follows hr_ in its text.")]


def duration(text: str) -> timedelta:
    """Return the duration in "90d", "12h" or "30m"."""
    number, unit = text[:-1], text[-1:]
    if unit not in UNITS_S or not number.isdecimal() or len(number) > 6:
        raise typer.BadParameter(f"{text!r}: write a number and a unit, like 90d, 12h or 30m")
    return timedelta(seconds=int(number) * UNITS_S[unit])


@verbs.command()
def create(
    *,
    name: Annotated[str, typer.Option("--name", help="What to call it.")],
    scope: Annotated[list[Scope], typer.Option("--scope", help="What it may be used for; give several.")],
    project: Annotated[str, typer.Option("--project", help="Project it belongs to.")] = "main",
    expires: Annotated[str, typer.Option("--expires", help="When it ends: 90d, 12h. Default: never.")] = "",
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Make a key and print its text, which is never shown again: KEY=$(headrace keys create --name … --scope …)."""
    settings = loaded(config, {"database.data_dir": data_dir}).settings
    expires_at = datetime.now(UTC) + duration(expires) if expires else None

    async def work(connection: asyncpg.Connection) -> tuple[KeyText, Key]:
        from headrace_server.access.keys import NewKey, create_key

        wanted = NewKey(project, name, frozenset(scope), expires_at)
        return await create_key(connection, wanted, this_account())

    _show(*beside_migrated(settings.database, work))
    if not settings.access.require_keys:
        typer.echo("a service asks for keys only with HEADRACE_ACCESS_REQUIRE_KEYS=true", err=True)


@verbs.command("list")
def list_keys(
    project: Annotated[str, typer.Option("--project", help="Project. Default: all.")] = "",
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """List the keys, newest first, ended ones too. Texts are not kept."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    async def work(connection: asyncpg.Connection) -> list[Key]:
        from headrace_server.access.keys import list_keys as keys_of

        return await keys_of(connection, project or None)

    keys = beside_migrated(loaded(config, {"database.data_dir": data_dir}).settings.database, work)
    if not keys:
        typer.echo("no keys yet: make one with headrace keys create")
        return
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("id", "project", "name", "scopes", "state", "made", "last used"):
        table.add_column(heading, overflow="fold")
    for key in keys:
        scopes = ", ".join(sorted(key.scopes))
        table.add_row(
            key.id, key.project, key.name, scopes, _state(key), _minute(key.created_at), _minute(key.last_used_at)
        )
    Console().print(table)


@verbs.command()
def rotate(
    key_id: Id,
    overlap: Annotated[str, typer.Option("--overlap", help="For how long both are good: 24h; 0m for none.")] = "24h",
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Make a key like another and print its text; the other ends after the overlap."""
    both_good_for = duration(overlap)

    async def work(connection: asyncpg.Connection) -> tuple[KeyText, Key]:
        from headrace_server.access.keys import rotate_key

        return await rotate_key(connection, None, _id(key_id), both_good_for, this_account())

    _show(*beside_migrated(loaded(config, {"database.data_dir": data_dir}).settings.database, work))
    typer.echo(f"{_id(key_id)} ends {f'in {overlap}' if both_good_for else 'now'}", err=True)


@verbs.command()
def revoke(key_id: Id, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """End a key now: it opens nothing any more, and streams that it opened end within 30 seconds."""

    async def work(connection: asyncpg.Connection) -> Key:
        from headrace_server.access.keys import revoke_key

        return await revoke_key(connection, None, _id(key_id), this_account())

    key = beside_migrated(loaded(config, {"database.data_dir": data_dir}).settings.database, work)
    typer.echo(f"{key.id} ({key.name}) of project {key.project} is revoked")


def _id(given: str) -> str:
    """The id in an id; a whole key is refused, since command lines are kept in histories."""
    if given.startswith("hr_"):
        fail("give the id alone, the 12 characters after hr_: secrets do not belong on a command line", MISUSED)
    return given


def _show(text: KeyText, key: Key) -> None:
    """The text alone on standard output, what there is to say about it beside it."""
    typer.echo(text.shown())
    until = f"until {_minute(key.expires_at)}" if key.expires_at else "until it is revoked"
    scopes = ", ".join(sorted(key.scopes))
    typer.echo(f"key {key.id} of project {key.project} for {scopes}, {until}; it is not shown again", err=True)


def _state(key: Key) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if key.left_s == 0:
        return "expired"
    return f"until {_minute(key.expires_at)}" if key.expires_at else "good"


def _minute(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M UTC") if at else "–"
