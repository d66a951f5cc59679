"""Projects as the database has them: made, listed, given quotas, each act with its line in the audit log.

This is the operator's, done beside the database (`headrace projects`): no key opens it, or a project's admin could
raise the project's own quotas.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from headrace_server.access.audit import Act, Actor, record
from headrace_server.errors import ProjectDeniedError
from headrace_server.models import names

if TYPE_CHECKING:
    import asyncpg

QUOTAS = ("rows_per_s", "bytes_per_s", "streams", "models", "columns")

_LIST = f"""
    SELECT name, created_at, {", ".join(f"max_{quota}" for quota in QUOTAS)},
           (SELECT count(*) FROM headrace.models m WHERE m.project = p.name) AS model_count
    FROM headrace.projects p ORDER BY name
"""  # noqa: S608 — constants


@dataclass(frozen=True)
class Project:
    """A project.

    Attributes:
        quotas: What it may take, by name; None: as much as comes.
    """

    name: str
    created_at: datetime
    model_count: int
    quotas: Mapping[str, float | None]


async def create_project(connection: "asyncpg.Connection[asyncpg.Record]", name: str, actor: Actor) -> str | None:
    """Make a project and its schema; returns its folded name, or None when it is there already.

    Raises:
        NameInvalidError: The name cannot be folded, or is reserved.
    """
    project = names.fold_project(name)
    async with connection.transaction():
        made = await connection.fetchval(
            "INSERT INTO headrace.projects (name) VALUES ($1) ON CONFLICT DO NOTHING RETURNING name", project
        )
        if made is None:
            return None
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {names.quote_identifier(project)}")
        await record(connection, actor, Act("create_project", project, project))
    return project


async def list_projects(connection: "asyncpg.Connection[asyncpg.Record]") -> list[Project]:
    """Return all projects by name."""
    return [
        Project(row["name"], row["created_at"], row["model_count"], {quota: row[f"max_{quota}"] for quota in QUOTAS})
        for row in await connection.fetch(_LIST)
    ]


async def set_quotas(
    connection: "asyncpg.Connection[asyncpg.Record]", project: str, changes: Mapping[str, float | None], actor: Actor
) -> None:
    """Change quotas of a project; running services hear of it at once.

    Args:
        connection: To the database.
        project: The project.
        changes: New quotas by name, of QUOTAS; None lifts one. Those that are not named stay.
        actor: Who wants it.

    Raises:
        ProjectDeniedError: There is no such project.
    """
    assert changes.keys() <= set(QUOTAS)  # noqa: S101 — names become columns below
    columns = ", ".join(f"max_{quota} = ${place}" for place, quota in enumerate(changes, 2))
    async with connection.transaction():
        statement = f"UPDATE headrace.projects SET {columns} WHERE name = $1 RETURNING name"  # noqa: S608 — as asserted
        if await connection.fetchval(statement, project, *changes.values()) is None:
            raise ProjectDeniedError(f"there is no project {project!r}")
        await record(connection, actor, Act("set_quotas", project, project, changes))
