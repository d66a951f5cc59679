"""The two ways to make an upload visible: as a new dataset, or as the completed columns of one that is there.

In: a table that is filled, on the connection of its job. Out: one transaction, in which the rows become visible, the
registry of datasets learns of them and the job SUCCEEDED. It holds the model's lock, and of the model's table of
datasets only what ATTACH needs: neither readers nor writers wait.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg

from headrace_server.copying.connection import Connection
from headrace_server.datasets import store, tables
from headrace_server.datasets.dataset import Dataset
from headrace_server.errors import DatasetIdRepeatedError, NameInvalidError
from headrace_server.jobs.run import JobRun
from headrace_server.models import catalog
from headrace_server.models.ddl_transaction import change_on
from headrace_server.models.known_models import model_not_found
from headrace_server.models.schema import ModelSchema
from headrace_server.models.system_columns import EVENT_ID
from headrace_server.models.table_spec import TableSpec, dataset_table, datasets_table


async def counted(connection: Connection, spec: TableSpec, key: Sequence[str] = (EVENT_ID.name,)) -> int:
    """Make the filled table ready for readers; returns its rows.

    Raises:
        DatasetIdRepeatedError: A key stands in it twice.
    """
    try:
        return await tables.index_and_count(connection, spec, key)
    except asyncpg.UniqueViolationError as error:
        raise DatasetIdRepeatedError(
            f"{' and '.join(key)} names one row: {error.detail or error}", metadata={"detail": str(error.detail)}
        ) from None


async def publish(run: JobRun, model: ModelSchema, name: str, rows: int, *, has_model: bool) -> None:
    """Make a filled table a dataset.

    Args:
        run: The job; its result is told with its success.
        model: The model, or what stands for one.
        name: Name of the dataset.
        rows: Rows of the table.
        has_model: Whether the model is one.

    Raises:
        DatasetExistsError: There is one of that name by now.
        NameInvalidError: Somebody else's table has the name of one of ours.
        ModelNotFoundError: The model is gone.
    """
    job = run.job
    detached = tables.detached_name(job.id)
    dataset = Dataset(
        id=job.id,
        project=model.project,
        model=model.sql_name if has_model else None,
        model_name=model.name if has_model else "",
        name=name,
        table_name=detached if has_model else dataset_table(model).name,
        rows=rows,
        columns=None if has_model else model.columns,
        completed_columns=(),
        is_baseline=False,
        created_at=datetime.now(UTC),
    )

    async def work(connection: Connection) -> None:
        await store.insert(connection, dataset)
        if has_model:
            await attach(connection, model, detached, name)
        else:
            await _rename(connection, tables.standalone_table(model, detached), dataset)
        await run.succeed()

    await change_on(run.connection, model.project, model.sql_name, work)


async def attach(
    connection: Connection,
    model: ModelSchema,
    table: str,
    name: str,
    whole_of: Callable[[ModelSchema], TableSpec] = datasets_table,
) -> None:
    """Make a filled table a partition, as wide as the model is now.

    Raises:
        ModelNotFoundError: The model is gone.
    """
    standing = await catalog.load_one(connection, (model.project, model.sql_name))
    if standing is None:
        raise model_not_found(model.project, model.name)
    whole = whole_of(standing)
    spec = tables.detached(whole, table, name)
    await tables.widen(connection, spec, await tables.columns_of(connection, spec))
    await tables.attach(connection, whole, spec, name, f'Datasets of the model "{standing.name}"')


async def _rename(connection: Connection, spec: TableSpec, dataset: Dataset) -> None:
    renamed = replace(spec, name=dataset.table_name)
    try:
        await tables.rename(connection, spec, renamed)
    except asyncpg.DuplicateTableError:
        raise NameInvalidError(
            f"the name {dataset.name!r} is taken: the project has a table {dataset.table_name} that is not headrace's,"
            " or a dataset whose name is stored alike"
        ) from None
