"""The registry's rows: models, columns and versions in the headrace schema, as ModelSchema and back.

In: a connection. Out: schemas, each read in one statement and so from one snapshot. Writers hold the model's lock
(models/ddl_transaction.py); what stands is only ever added to.
"""

import json
from collections.abc import Iterable
from typing import Any

import asyncpg

from headrace.schemas.tasks import ColumnRole, TaskType
from headrace_server.models.column_types import ValueType
from headrace_server.models.sampling import MOST_RATES, SamplingRate
from headrace_server.models.schema import (
    ColumnKind,
    EventIdType,
    Identity,
    ModelColumn,
    ModelSchema,
    UnknownColumns,
)

# Columns by name: another release may add more while our statements are prepared.
_SELECT = """
    SELECT m.project, m.sql_name, m.name, m.identity, m.event_id_type, m.unknown_columns, m.earliest_event_time,
           m.latest_ahead, m.chunk_interval, m.retention, m.revision, m.created_at, m.updated_at,
           m.task, m.classes, m.positive_class, m.threshold, m.late_kinds,
           coalesce(m.baseline_dataset, '') AS baseline_dataset,
           (SELECT coalesce(json_agg(c ORDER BY c.position), '[]')
            FROM headrace.model_columns c WHERE c.project = m.project AND c.model = m.sql_name) AS columns,
           (SELECT coalesce(array_agg(v.version ORDER BY v.position), '{}')
            FROM headrace.model_versions v WHERE v.project = m.project AND v.model = m.sql_name) AS versions,
           ARRAY(SELECT r.began_at FROM headrace.sampling_rates r
                 WHERE r.project = m.project AND r.model = m.sql_name ORDER BY r.began_at) AS sampling_began,
           ARRAY(SELECT r.rate FROM headrace.sampling_rates r
                 WHERE r.project = m.project AND r.model = m.sql_name ORDER BY r.began_at) AS sampling_rates
    FROM headrace.models m
"""
_BY_KEY = _SELECT + " WHERE (m.project, m.sql_name) IN (SELECT * FROM unnest($1::text[], $2::text[]))"  # noqa: S608 — two constants
_BY_PROJECT = f"{_SELECT} WHERE m.project = $1 AND m.sql_name > $2 ORDER BY m.sql_name LIMIT $3"

Key = tuple[str, str]
"""(project, sql_name) of a model."""


async def load(connection: asyncpg.Connection, keys: Iterable[Key]) -> dict[Key, ModelSchema]:
    """Return those of the models that exist."""
    pairs = list(keys)
    rows = await connection.fetch(_BY_KEY, [project for project, _ in pairs], [name for _, name in pairs])
    return {(row["project"], row["sql_name"]): _schema(row) for row in rows}


async def load_one(connection: asyncpg.Connection, key: Key) -> ModelSchema | None:
    """Return one model, or None when there is none."""
    return (await load(connection, [key])).get(key)


async def load_page(connection: asyncpg.Connection, project: str, after: str, limit: int) -> list[ModelSchema]:
    """Return up to `limit` models of the project whose sql_name is greater than `after`, in its order."""
    return [_schema(row) for row in await connection.fetch(_BY_PROJECT, project, after, limit)]


async def project_infers(connection: asyncpg.Connection, project: str) -> bool | None:
    """Tell whether first batches may make models in the project; None when there is no such project."""
    infers: bool | None = await connection.fetchval(
        "SELECT infer_models FROM headrace.projects WHERE name = $1", project
    )
    return infers


async def sampling_rates(connection: asyncpg.Connection, project: str) -> dict[str, float]:
    """Return the rates that are in force in a project, but for 1."""
    rows = await connection.fetch(
        """
        SELECT m.name, s.rate FROM headrace.models m JOIN LATERAL (
            SELECT r.rate FROM headrace.sampling_rates r WHERE r.project = m.project AND r.model = m.sql_name
            ORDER BY r.began_at DESC LIMIT 1
        ) s ON s.rate < 1 WHERE m.project = $1 ORDER BY m.sql_name LIMIT 1000
        """,
        project,
    )
    return {row["name"]: row["rate"] for row in rows}


async def insert(connection: asyncpg.Connection, schema: ModelSchema) -> None:
    """Write a new model."""
    await connection.execute(
        """
        INSERT INTO headrace.models (project, sql_name, name, identity, event_id_type, unknown_columns,
                                     earliest_event_time, latest_ahead, chunk_interval, retention, task, classes,
                                     positive_class, threshold)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        """,
        schema.project,
        schema.sql_name,
        schema.name,
        schema.identity.name,
        schema.event_id_type.name,
        schema.unknown_columns.name,
        schema.earliest_event_time,
        schema.latest_ahead,
        schema.chunk_interval,
        schema.retention,
        *_task(schema),
    )
    await _insert_columns(connection, schema, 0)
    await _insert_versions(connection, schema, 0)


async def advance(connection: asyncpg.Connection, before: ModelSchema, after: ModelSchema) -> None:
    """Write what `after` has more than `before`, as the model's next revision."""
    await connection.execute(
        """
        UPDATE headrace.models
        SET revision = revision + 1, updated_at = now(), unknown_columns = $3, chunk_interval = $4, retention = $5,
            task = $6, classes = $7, positive_class = $8, threshold = $9, late_kinds = $10
        WHERE project = $1 AND sql_name = $2
        """,
        after.project,
        after.sql_name,
        after.unknown_columns.name,
        after.chunk_interval,
        after.retention,
        *_task(after),
        sorted(after.late_kinds),
    )
    await connection.executemany(
        "UPDATE headrace.model_columns SET role = $4 WHERE project = $1 AND model = $2 AND position = $3",
        [
            (after.project, after.sql_name, position, column.role.name)
            for position, (column, standing) in enumerate(zip(after.columns, before.columns, strict=False))
            if column.role is not standing.role and column.role is not None
        ],
    )
    if after.sampling_rate != before.sampling_rate:
        await connection.execute(
            "INSERT INTO headrace.sampling_rates (project, model, rate) VALUES ($1, $2, $3)",
            after.project,
            after.sql_name,
            after.sampling_rate,
        )
        await connection.execute(
            """
            DELETE FROM headrace.sampling_rates WHERE project = $1 AND model = $2 AND began_at <= (
                SELECT began_at FROM headrace.sampling_rates WHERE project = $1 AND model = $2
                ORDER BY began_at DESC OFFSET $3 LIMIT 1
            )
            """,
            after.project,
            after.sql_name,
            MOST_RATES,
        )
    await _insert_columns(connection, after, len(before.columns))
    await _insert_versions(connection, after, len(before.versions))


async def _insert_columns(connection: asyncpg.Connection, schema: ModelSchema, first: int) -> None:
    await connection.executemany(
        """
        INSERT INTO headrace.model_columns
            (project, model, position, name, sql_name, kind, type, dimension, description, role)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        [
            (
                schema.project,
                schema.sql_name,
                position,
                column.name,
                column.sql_name,
                column.kind.name,
                column.type.name,
                column.dimension,
                column.description,
                column.role.name if column.role else None,
            )
            for position, column in enumerate(schema.columns[first:], first)
        ],
    )


async def _insert_versions(connection: asyncpg.Connection, schema: ModelSchema, first: int) -> None:
    await connection.executemany(
        "INSERT INTO headrace.model_versions (project, model, position, version) VALUES ($1, $2, $3, $4)",
        [
            (schema.project, schema.sql_name, position, version)
            for position, version in enumerate(schema.versions[first:], first)
        ],
    )


def _task(schema: ModelSchema) -> tuple[str | None, tuple[str, ...], str, float]:
    return schema.task.name if schema.task else None, schema.classes, schema.positive_class, schema.threshold


def _schema(row: asyncpg.Record) -> ModelSchema:
    return ModelSchema(
        project=row["project"],
        name=row["name"],
        sql_name=row["sql_name"],
        columns=tuple(_column(column) for column in json.loads(row["columns"])),
        identity=Identity[row["identity"]],
        event_id_type=EventIdType[row["event_id_type"]],
        unknown_columns=UnknownColumns[row["unknown_columns"]],
        versions=tuple(row["versions"]),
        earliest_event_time=row["earliest_event_time"],
        latest_ahead=row["latest_ahead"],
        chunk_interval=row["chunk_interval"],
        retention=row["retention"],
        revision=row["revision"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        sampling=tuple(map(SamplingRate, row["sampling_began"], row["sampling_rates"])),
        task=TaskType[row["task"]] if row["task"] else None,
        classes=tuple(row["classes"]),
        positive_class=row["positive_class"],
        threshold=row["threshold"],
        baseline_dataset=row["baseline_dataset"],
        late_kinds=frozenset(row["late_kinds"]),
    )


def _column(column: dict[str, Any]) -> ModelColumn:
    return ModelColumn(
        column["name"],
        column["sql_name"],
        ColumnKind[column["kind"]],
        ValueType[column["type"]],
        column["dimension"],
        column["description"],
        ColumnRole[column["role"]] if column["role"] else None,
    )
