"""The rows of headrace.datasets: which datasets are there, and which is a model's baseline."""

import json
from collections.abc import Sequence
from uuid import UUID

import asyncpg

from headrace_server.copying.connection import Connection
from headrace_server.datasets.dataset import Dataset
from headrace_server.errors import DatasetExistsError
from headrace_server.models.column_types import ValueType
from headrace_server.models.schema import ColumnKind, ModelColumn

_SELECT = """
    SELECT d.id, d.project, d.model, coalesce(m.name, '') AS model_name, d.name, d.table_name, d.rows,
           d.columns::text AS columns, d.completed_columns, d.created_at,
           d.influences_table, d.influence_rows,
           coalesce(m.baseline_dataset = d.name, false) AS is_baseline
    FROM headrace.datasets d LEFT JOIN headrace.models m ON (m.project, m.sql_name) = (d.project, d.model)
"""
_ONE = f"{_SELECT} WHERE d.project = $1 AND d.model IS NOT DISTINCT FROM $2 AND d.name = $3"
_PAGE = f"""{_SELECT}
    WHERE d.project = $1 AND ($2::text IS NULL OR d.model = $2) AND (coalesce(d.model, ''), d.name) > ($3, $4)
    ORDER BY coalesce(d.model, ''), d.name LIMIT $5
"""
_INSERT = """
    INSERT INTO headrace.datasets (id, project, model, name, table_name, rows, columns, completed_columns)
    VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8)
"""
_COMPLETE = """
    UPDATE headrace.datasets SET table_name = $2, completed_columns = completed_columns || $3::text[]
    WHERE id = $1 AND table_name = $4 RETURNING true
"""


async def load(connection: Connection, project: str, model: str | None, name: str) -> Dataset | None:
    """Return one dataset: of the model, or of none where that is None."""
    row = await connection.fetchrow(_ONE, project, model, name)
    return _dataset(row) if row else None


async def load_page(
    connection: Connection, project: str, model: str | None, after: tuple[str, str], limit: int
) -> list[Dataset]:
    """Return up to `limit` datasets after (model or empty, name), in that order; of one model, or of all."""
    return [_dataset(row) for row in await connection.fetch(_PAGE, project, model, *after, limit)]


async def insert(connection: Connection, dataset: Dataset) -> None:
    """Write a dataset that becomes visible with this transaction.

    Raises:
        DatasetExistsError: There is one of that name.
    """
    try:
        await connection.execute(
            _INSERT,
            dataset.id,
            dataset.project,
            dataset.model,
            dataset.name,
            dataset.table_name,
            dataset.rows,
            None if dataset.columns is None else json.dumps([_as_json(column) for column in dataset.columns]),
            dataset.completed_columns,
        )
    except asyncpg.UniqueViolationError:
        raise already_there(dataset.name) from None


async def complete(connection: Connection, dataset: Dataset, table_name: str, completed_columns: Sequence[str]) -> bool:
    """Write that a dataset's rows are in another table, with more columns filled; False where it has changed since."""
    done = await connection.fetchval(_COMPLETE, dataset.id, table_name, completed_columns, dataset.table_name)
    return bool(done)


async def add_influences(connection: Connection, dataset: Dataset, table_name: str, rows: int) -> bool:
    """Write that a dataset has influences; False where it has some already, or is gone."""
    done = await connection.fetchval(
        """
        UPDATE headrace.datasets SET influences_table = $2, influence_rows = $3
        WHERE id = $1 AND influences_table IS NULL RETURNING true
        """,
        dataset.id,
        table_name,
        rows,
    )
    return bool(done)


async def delete(connection: Connection, dataset_id: UUID) -> None:
    """Forget a dataset."""
    await connection.execute("DELETE FROM headrace.datasets WHERE id = $1", dataset_id)


async def set_baseline(connection: Connection, project: str, model: str, name: str | None) -> None:
    """Write a model's baseline, and that the model has changed."""
    await connection.execute(
        """
        UPDATE headrace.models SET baseline_dataset = $3, revision = revision + 1, updated_at = now()
        WHERE project = $1 AND sql_name = $2
        """,
        project,
        model,
        name,
    )


def already_there(name: str) -> DatasetExistsError:
    """Return the error for a name that is taken."""
    return DatasetExistsError(
        f"there is a dataset {name!r} already, and datasets never change: drop it first, or publish under another name"
    )


def _dataset(row: asyncpg.Record) -> Dataset:
    columns = row["columns"]
    return Dataset(
        **{
            **row,
            "columns": None if columns is None else tuple(map(_of_json, json.loads(columns))),
            "completed_columns": tuple(row["completed_columns"]),
        }
    )


def _as_json(column: ModelColumn) -> dict[str, object]:
    return {
        "name": column.name,
        "sql_name": column.sql_name,
        "kind": column.kind.name,
        "type": column.type.name,
        "dimension": column.dimension,
        "description": column.description,
    }


def _of_json(column: dict[str, object]) -> ModelColumn:
    return ModelColumn(
        name=str(column["name"]),
        sql_name=str(column["sql_name"]),
        kind=ColumnKind[str(column["kind"])],
        type=ValueType[str(column["type"])],
        dimension=int(str(column["dimension"])),
        description=str(column["description"]),
    )
