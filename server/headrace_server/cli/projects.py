# ruff: noqa: PLC0415
"""`headrace projects`: projects and their quotas, beside the database; a running service hears of it at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from headrace_server.cli.at_database import beside_migrated, this_account
from headrace_server.cli.effective_settings import loaded
from headrace_server.cli.failure import MISUSED, fail
from headrace_server.cli.options import ConfigFile, DataDir

if TYPE_CHECKING:
    import asyncpg

    from headrace_server.access.projects import Project

verbs = typer.Typer(help="Projects: tenants, each with a schema, keys and quotas of its own.", no_args_is_help=True)

NONE = "none"

Name = Annotated[str, typer.Argument(metavar="PROJECT", help="Name of the project.")]


@verbs.command()
def create(name: Name, config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """Make a project and its schema."""

    async def work(connection: asyncpg.Connection) -> str | None:
        from headrace_server.access.projects import create_project

        return await create_project(connection, name, this_account())

    made = beside_migrated(loaded(config, {"database.data_dir": data_dir}).settings.database, work)
    if made is None:
        fail(f"there is a project {name!r} already")
    typer.echo(f"made the project {made}; its keys: headrace keys create --project {made}")


@verbs.command("list")
def list_projects(config: ConfigFile = None, data_dir: DataDir = None) -> None:
    """List the projects with their quotas."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from headrace_server.access.projects import QUOTAS

    async def work(connection: asyncpg.Connection) -> list[Project]:
        from headrace_server.access.projects import list_projects as projects_of

        return await projects_of(connection)

    projects = beside_migrated(loaded(config, {"database.data_dir": data_dir}).settings.database, work)
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("project", "models", *(f"most {quota}" for quota in QUOTAS)):
        table.add_column(heading, overflow="fold")
    for project in projects:
        quotas = [project.quotas[quota] for quota in QUOTAS]
        shown = ["–" if quota is None else f"{quota:,.10g}" for quota in quotas]
        table.add_row(project.name, str(project.model_count), *shown)
    Console().print(table)


@verbs.command()
def quota(
    *,
    name: Name,
    rows_per_s: Annotated[str, typer.Option("--rows-per-s", help="Rows a second, by replica.")] = "",
    bytes_per_s: Annotated[str, typer.Option("--bytes-per-s", help="Bytes of batches a second, by replica.")] = "",
    streams: Annotated[str, typer.Option("--streams", help="Ingest streams at a time, by replica.")] = "",
    models: Annotated[str, typer.Option("--models", help="Models.")] = "",
    columns: Annotated[str, typer.Option("--columns", help="Columns of all models together.")] = "",
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Set quotas of a project: a number, or `none` to lift one. What is not given stays."""
    given = {
        "rows_per_s": rows_per_s,
        "bytes_per_s": bytes_per_s,
        "streams": streams,
        "models": models,
        "columns": columns,
    }
    changes = {quota: _number(quota, text) for quota, text in given.items() if text}
    if not changes:
        fail("say which quota, e.g. --rows-per-s 50000", MISUSED)

    async def work(connection: asyncpg.Connection) -> None:
        from headrace_server.access.projects import set_quotas

        await set_quotas(connection, name, changes, this_account())

    beside_migrated(loaded(config, {"database.data_dir": data_dir}).settings.database, work)
    said = ", ".join(f"{quota} {NONE if most is None else f'{most:,}'}" for quota, most in changes.items())
    typer.echo(f"quotas of {name}: {said}")


def _number(quota: str, text: str) -> int | None:
    if text == NONE:
        return None
    if not text.isdecimal() or int(text) > 2**31 - 1 or (quota.endswith("_per_s") and int(text) == 0):
        fail(f"{quota} {text!r}: a whole number, or {NONE} to lift the quota", MISUSED)
    return int(text)
