"""Completing a dataset: columns that it does not have yet, by id, all at once.

In: a table of ids and new columns, filled by an upload. Out: a table with old and new columns together, which takes the
place of the old one in the commit: readers see the dataset before or after, never between. A value that was there is
never another one: a column with any value is refused. What belongs to no model is completed for one by becoming a
dataset of that model, under the same name; it stays as it is for the next model.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from headrace_server.copying.connection import Connection
from headrace_server.datasets import publishing, store, tables
from headrace_server.datasets.dataset import Dataset
from headrace_server.errors import DatasetIdUnknownError, DatasetImmutableError, TypeConflictError
from headrace_server.jobs.run import JobRun
from headrace_server.models.ddl_transaction import STATEMENT_TIMEOUT_S, change_on
from headrace_server.models.names import quote_identifier
from headrace_server.models.schema import EventIdType, ModelSchema
from headrace_server.models.system_columns import EVENT_COLUMNS, EVENT_ID
from headrace_server.models.table_spec import DATASET, TableSpec, dataset_table


def part_table(model: ModelSchema, name: str) -> TableSpec:
    """Return the table that a completing upload fills: ids, and the model's own columns."""
    system = {column.name for column in EVENT_COLUMNS} - {EVENT_ID.name}
    whole = dataset_table(model)
    return TableSpec(whole.schema, name, tuple(column for column in whole.columns if column.name not in system))


def check_fits(model: ModelSchema, base: Dataset) -> None:
    """Check that a dataset without a model can become one of this model.

    Raises:
        TypeConflictError: A column, or the ids, have another type.
    """
    if base.columns is None:
        return
    if model.event_id_type is not EventIdType.TEXT:
        raise TypeConflictError(f"ids of the dataset {base.name!r} are texts, those of the model {model.name!r} UUIDs")
    own = {(column.kind, column.sql_name): column for column in model.columns}
    for column in base.columns:
        other = own.get((column.kind, column.sql_name))
        if other is not None and (other.type.sql, other.dimension) != (column.type.sql, column.dimension):
            raise TypeConflictError(
                f"{column.name!r} is {column.type.name} in the dataset and {other.type.name} in the model"
            )


async def complete(run: JobRun, model: ModelSchema, part: TableSpec, base: Dataset) -> None:
    """Put a dataset's rows and the filled part together, and let them be seen.

    Raises:
        DatasetImmutableError: A completed column has values already, or the dataset has changed since the upload began.
        DatasetIdUnknownError: The part has ids that the dataset has not.
    """
    connection = run.connection
    old = TableSpec(base.project, base.table_name, ())
    there = await tables.columns_of(connection, old)
    own = [column.name for column in part.columns if column.name != EVENT_ID.name]
    completed = await _with_values(connection, part, own)
    standing = await _with_values(connection, old, [name for name in completed if name in there])
    if standing:
        raise DatasetImmutableError(
            f"the dataset {base.name!r} has values in {', '.join(standing)} already; they never change",
            metadata={"columns": ", ".join(standing)},
        )
    await check_ids(connection, part, base)
    whole = tables.detached_table(model, tables.completed_name(run.job.id), base.name)
    await tables.make(connection, whole, f"Rows of a completion under way: {run.job.subject}")
    kept = [column.name for column in whole.columns if column.name in there and column.name not in completed]
    together = _together([name for name in kept if name != DATASET], completed, old, part)
    await connection.execute(f"INSERT INTO {whole.qualified} {together}", timeout=STATEMENT_TIMEOUT_S)
    await publishing.counted(connection, whole)

    async def work(connection: Connection) -> None:
        if base.model is None:
            fresh = replace(
                base,
                id=run.job.id,
                model=model.sql_name,
                model_name=model.name,
                table_name=whole.name,
                columns=None,
                completed_columns=tuple(completed),
                created_at=datetime.now(UTC),
            )
            await store.insert(connection, fresh)
        else:
            if not await store.complete(connection, base, whole.name, completed):
                raise DatasetImmutableError(f"the dataset {base.name!r} was completed or dropped meanwhile: try again")
            await tables.drop(connection, base.project, base.table_name)
        await tables.drop(connection, part.schema, part.name)
        await publishing.attach(connection, model, whole.name, base.name)
        await run.succeed()

    await change_on(connection, model.project, model.sql_name, work)


async def _with_values(connection: Connection, table: TableSpec, names: Sequence[str]) -> list[str]:
    """Return those of the columns that have a value in some row."""
    if not names:
        return []
    wanted = ", ".join(f"coalesce(bool_or({quote_identifier(name)} IS NOT NULL), false)" for name in names)
    row = await connection.fetchrow(f"SELECT {wanted} FROM {table.qualified}", timeout=STATEMENT_TIMEOUT_S)  # noqa: S608
    return [name for name, has_value in zip(names, row, strict=True) if has_value]


async def check_ids(connection: Connection, part: TableSpec, base: Dataset) -> None:
    """Check that all ids of a part are in the dataset.

    Raises:
        DatasetIdUnknownError: Some are not.
    """
    old = TableSpec(base.project, base.table_name, ())
    unknown = await connection.fetchrow(
        f"""
        SELECT count(*) AS rows, min(event_id::text) AS example FROM {part.qualified} p
        WHERE NOT EXISTS (SELECT FROM {old.qualified} o WHERE o.event_id = p.event_id)
        """,  # noqa: S608
        timeout=STATEMENT_TIMEOUT_S,
    )
    if unknown["rows"]:
        raise DatasetIdUnknownError(
            f"{unknown['rows']} ids are not in the dataset {base.name!r}, e.g. {unknown['example']!r}",
            metadata={"rows": str(unknown["rows"]), "example": unknown["example"]},
        )


def _together(kept: Sequence[str], completed: Sequence[str], old: TableSpec, part: TableSpec) -> str:
    """Columns and query of the rows with what is kept of the dataset and what is completed by the part."""
    values = [f"o.{quote_identifier(name)}" for name in kept] + [f"p.{quote_identifier(name)}" for name in completed]
    names = ", ".join(map(quote_identifier, [*kept, *completed]))
    return f"""({names}) SELECT {", ".join(values)} FROM {old.qualified} o
        LEFT JOIN {part.qualified} p ON p.event_id = o.event_id"""  # noqa: S608
