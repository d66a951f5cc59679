"""The tables of datasets: where an upload fills its rows in, and how they become visible.

An upload fills a table of its own, which no query knows of (dataset_<id of its job>); ATTACH makes it a partition of
the model's table of all datasets, and that is the commit. A dataset without a model is renamed instead. Nobody writes
to either afterwards. What an upload leaves behind is found by the id of its job, and dropped with it.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from uuid import UUID

from headrace_server.copying.connection import Connection
from headrace_server.models import ddl
from headrace_server.models.ddl_transaction import STATEMENT_TIMEOUT_S
from headrace_server.models.names import qualified, quote_identifier, quote_literal
from headrace_server.models.schema import ModelSchema
from headrace_server.models.system_columns import EVENT_ID
from headrace_server.models.table_spec import DATASET, TableSpec, dataset_table, datasets_table


def detached_name(job_id: UUID) -> str:
    """Name of the table that a job's rows are filled into."""
    return f"dataset_{job_id.hex}"


def completed_name(job_id: UUID) -> str:
    """Name of the table in which a completing job puts old and new columns together."""
    return f"{detached_name(job_id)}_whole"


def detached_table(model: ModelSchema, name: str, dataset: str) -> TableSpec:
    """Return a table that can become the model's partition of this dataset: every row bears its name, unsaid."""
    return detached(datasets_table(model), name, dataset)


def detached(whole: TableSpec, name: str, dataset: str) -> TableSpec:
    """Return a table that can become a partition of `whole` for this dataset."""
    bound = f"DEFAULT {quote_literal(dataset)} CHECK ({quote_identifier(DATASET)} = {quote_literal(dataset)})"
    columns = (replace(column, default=bound) if column.name == DATASET else column for column in whole.columns)
    return TableSpec(whole.schema, name, tuple(columns))


def standalone_table(model: ModelSchema, name: str) -> TableSpec:
    """Return the table of a dataset that belongs to no model, under the name it has while it is filled."""
    return replace(dataset_table(model), name=name)


async def make(connection: Connection, spec: TableSpec, comment: str) -> None:
    """Make a table that is to be filled."""
    await connection.execute("; ".join([ddl.create_schema(spec.schema), *ddl.create_table(spec, comment)]))


async def widen(connection: Connection, spec: TableSpec, standing: Collection[str]) -> None:
    """Give a table the columns that it does not have yet: the model has grown meanwhile."""
    fresh = [column for column in spec.columns if column.name not in standing]
    if fresh:
        additions = ", ".join(f"ADD COLUMN {ddl.column_clause(column)}" for column in fresh)
        await connection.execute(f"ALTER TABLE {spec.qualified} {additions}")


async def index_and_count(connection: Connection, spec: TableSpec, key: Sequence[str] = (EVENT_ID.name,)) -> int:
    """Make the filled table ready for its readers and return how many rows it has.

    Raises:
        asyncpg.UniqueViolationError: A key stands in it twice.
    """
    statement = f"CREATE UNIQUE INDEX ON {spec.qualified} ({', '.join(map(quote_identifier, key))})"
    await connection.execute(f"SET statement_timeout = '{STATEMENT_TIMEOUT_S}s'")
    await connection.execute(statement, timeout=STATEMENT_TIMEOUT_S)
    await connection.execute(f"ANALYZE {spec.qualified}", timeout=STATEMENT_TIMEOUT_S)
    count = f"SELECT count(*) FROM {spec.qualified}"  # noqa: S608 -- a quoted name
    rows: int = await connection.fetchval(count, timeout=STATEMENT_TIMEOUT_S)
    return rows


async def attach(connection: Connection, whole: TableSpec, spec: TableSpec, dataset: str, comment: str) -> None:
    """Make a filled table the partition of `whole` for this dataset, in the caller's transaction."""
    if not await _exists(connection, whole):
        statements = ddl.create_partitioned(whole, DATASET, comment)
        await connection.execute("; ".join(statements))
    await connection.execute(
        f"ALTER TABLE {whole.qualified} ATTACH PARTITION {spec.qualified} FOR VALUES IN ({quote_literal(dataset)})"
    )


async def rename(connection: Connection, spec: TableSpec, renamed: TableSpec) -> None:
    """Give a filled table the name that its readers know it by.

    Raises:
        asyncpg.DuplicateTableError: Another table has it.
    """
    await connection.execute(f"ALTER TABLE {spec.qualified} RENAME TO {quote_identifier(renamed.name)}")


async def drop(connection: Connection, schema: str, *names: str) -> None:
    """Remove tables that may be there."""
    for name in names:
        await connection.execute(f"DROP TABLE IF EXISTS {qualified(schema, name)}")


async def columns_of(connection: Connection, spec: TableSpec) -> set[str]:
    """Return the names of the columns that a table has."""
    rows = await connection.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped",
        spec.qualified,
    )
    return {row["attname"] for row in rows}


async def _exists(connection: Connection, spec: TableSpec) -> bool:
    found: bool = await connection.fetchval("SELECT to_regclass($1::text) IS NOT NULL", spec.qualified)
    return found
