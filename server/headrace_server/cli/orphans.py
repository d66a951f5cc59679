# ruff: noqa: PLC0415
"""`headrace orphans`: what waits for its event, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace_server.cli.at_database import beside
from headrace_server.cli.effective_settings import loaded
from headrace_server.cli.failure import fail
from headrace_server.cli.options import ConfigFile, DataDir

if TYPE_CHECKING:
    import asyncpg


def orphans(
    *,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")],
    project: Annotated[str, typer.Option("--project", help="Project it belongs to.")] = "main",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most rows to list; the oldest come first.")] = 20,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """List rows of late kinds (labels, influences, variants, metrics) whose event has not come.

    Reads the model's view of orphans beside the database, which has all of them.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    settings = loaded(config, {"database.data_dir": data_dir}).settings

    async def work(connection: asyncpg.Connection) -> tuple[list[Any], list[Any]]:
        view = await _view_of(connection, project, model)
        if view is None:
            return [], []
        counts = await connection.fetch(
            f"SELECT kind, count(*) AS rows, max(age) AS oldest FROM {view} GROUP BY kind ORDER BY kind"  # noqa: S608 - quoted
        )
        rows = await connection.fetch(f"SELECT * FROM {view} ORDER BY recorded_time LIMIT $1", limit)  # noqa: S608 - quoted
        return counts, rows

    counts, rows = beside(settings.database, work)
    console = Console()
    if not rows:
        console.print(f"nothing of {model} waits for its event")
        return
    summary = Table("kind", "rows", "oldest", box=box.SIMPLE_HEAD)
    for kind, count, oldest in counts:
        summary.add_row(kind, f"{count:,}", str(oldest))
    listed = Table("kind", "event_id", "event_time", "source", "waits since", "age", box=box.SIMPLE_HEAD)
    for row in rows:
        listed.add_row(*(str("–" if value is None else value) for value in row))
    console.print(summary, listed)


async def _view_of(connection: asyncpg.Connection, project: str, model: str) -> str | None:
    """Return the model's view of orphans as SQL takes it; None where it has no late kind."""
    from headrace_server.models import catalog, names
    from headrace_server.models.late_tables import late_specs_of
    from headrace_server.models.late_views import orphans_view

    key = (names.fold_project(project), names.fold(model))
    schema = await catalog.load_one(connection, key)
    if schema is None:
        fail(f"there is no model {model!r} in the project {project!r}")
    return orphans_view(schema) if late_specs_of(schema) else None
