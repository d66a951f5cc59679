"""Makes a model and lets it grow: its catalogue rows, its tables and word of it, all in the caller's transaction.

In: the schema that is to stand, inside the model's transaction (models/ddl_transaction.py). Out: the schema as it
stands now, with the revision and times that the database gave it. A rollback undoes everything, the word of it too.
"""

import asyncpg

from headrace_server.errors import NameInvalidError, ProjectDeniedError
from headrace_server.models import catalog, ddl
from headrace_server.models.counts import check_counts
from headrace_server.models.ddl_transaction import STATEMENT_TIMEOUT_S, announce, extension_schema
from headrace_server.models.schema import ModelSchema


async def make(connection: asyncpg.Connection, wanted: ModelSchema) -> ModelSchema:
    """Make a model that is not there.

    Raises:
        ProjectDeniedError: There is no such project.
        QuotaReachedError: The project may have no more.
        NameInvalidError: Somebody else's table has the name of one of ours.
    """
    if await catalog.project_infers(connection, wanted.project) is None:
        raise ProjectDeniedError(f"project {wanted.project!r} is not yours")
    await check_counts(connection, wanted.project, models=1, columns=len(wanted.columns))
    await catalog.insert(connection, wanted)
    await _execute(connection, wanted, ddl.create_tables(wanted, await extension_schema(connection)))
    return await _announced(connection, wanted)


async def grow(connection: asyncpg.Connection, standing: ModelSchema, grown: ModelSchema) -> ModelSchema:
    """Give a model what `grown` has more than `standing`; nothing happens when they are equal.

    Raises:
        QuotaReachedError: The project may have no more columns.
        NameInvalidError: Somebody else's table has the name of one of ours.
    """
    if grown == standing:
        return standing
    await check_counts(connection, grown.project, models=0, columns=len(grown.columns) - len(standing.columns))
    await catalog.advance(connection, standing, grown)
    await _execute(connection, grown, ddl.grow_tables(standing, grown, await extension_schema(connection)))
    return await _announced(connection, grown)


async def _execute(connection: asyncpg.Connection, schema: ModelSchema, statements: list[str]) -> None:
    if not statements:
        return
    try:
        # One round trip: a model of many columns has a comment for each.
        await connection.execute("; ".join(statements), timeout=STATEMENT_TIMEOUT_S)
    except asyncpg.DuplicateTableError as error:
        raise NameInvalidError(
            f"the name {schema.name!r} is taken: the schema {schema.project} has a table or view that is not headrace's"
            f" ({error})"
        ) from error


async def _announced(connection: asyncpg.Connection, schema: ModelSchema) -> ModelSchema:
    key = (schema.project, schema.sql_name)
    await announce(connection, *key)
    return (await catalog.load(connection, [key]))[key]
