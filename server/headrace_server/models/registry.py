"""The registry: the models there are, and every way to make or change one.

In: names as users write them, definitions to register. Out: ModelSchema. A change is one transaction with the model's
DDL and a NOTIFY, on a connection of its own; every replica's cache (models/known_models.py), this one's too, learns
of it by that.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import asyncpg

from headrace_server.errors import (
    ModelInvalidError,
    OverloadedError,
    RevisionConflictError,
)
from headrace_server.models import catalog, construction, evolution, model_task, names
from headrace_server.models.catalog import Key
from headrace_server.models.ddl_transaction import change_model
from headrace_server.models.definition import ColumnLike, ModelDefinition, TaskDefinition
from headrace_server.models.known_models import ACQUIRE_TIMEOUT_S, KnownModels, key_of, model_not_found
from headrace_server.models.schema import Identity, ModelSchema, UnknownColumns
from headrace_server.storage.outage import told_as_unavailable
from headrace_server.storage.pool import Connect

# Each change holds a connection of its own; one whose table is busy lets the next pass.
CONCURRENT_CHANGES = 2
QUEUE_TIMEOUT_S = 30.0

_AS_IT_IS = TaskDefinition()


class Registry(KnownModels):
    """Models of all projects.

    Args:
        pool: For reading.
        connect: Opens a connection for a change.
        infer_models: First batches may make models in every project; else where the project allows it.
    """

    def __init__(self, pool: asyncpg.Pool, connect: Connect, *, infer_models: bool = False) -> None:
        super().__init__(pool)
        self._connect = connect
        self._infer_models = infer_models
        self._changes = asyncio.Semaphore(CONCURRENT_CHANGES)

    async def register(self, project: str, definition: ModelDefinition, version: str = "") -> tuple[ModelSchema, bool]:
        """Make the model with its tables, or add columns and a version to the one that is there.

        Returns:
            The model as it is now, and whether this call made it. The same call again changes nothing.

        Raises:
            NameInvalidError: A name cannot be taken.
            ModelInvalidError: The definition is not possible.
            TypeConflictError: The model is registered otherwise.
            ProjectDeniedError: There is no such project.
            DatabaseUnavailableError: The database does not answer, or the tables stay busy for 30 seconds.
        """
        key = (names.fold_project(project), names.fold_model(definition.name))
        wanted = evolution.create(key[0], definition, version)
        known = await self.get(*key)
        if known is not None and evolution.extend(known, definition, version) is known:
            return known, False

        created = False

        async def work(connection: asyncpg.Connection) -> ModelSchema:
            nonlocal created
            standing = await catalog.load_one(connection, key)
            created = standing is None
            if standing is None:
                return await construction.make(connection, wanted)
            return await construction.grow(connection, standing, evolution.extend(standing, definition, version))

        return await self._change(key, work), created

    async def update(
        self,
        project: str,
        name: str,
        add_columns: Sequence[ColumnLike] = (),
        unknown_columns: UnknownColumns | None = None,
        revision: int = 0,
        *,
        sampling_rate: float | None = None,
        task: TaskDefinition = _AS_IT_IS,
        retention: timedelta | None = None,
    ) -> ModelSchema:
        """Add columns, roles and classes to a model or change its policies.

        Args:
            project: The project.
            name: Name of the model in any form.
            add_columns: Those that are there with the same type and kind take the role, where they have none.
            unknown_columns: The new policy; None leaves it.
            revision: The revision the caller has seen; 0 for any.
            sampling_rate: Share of events to keep from now on; None leaves it.
            task: What the model is for, where it is not said yet; classes to add; a new threshold.
            retention: Age from which events are dropped, 0 for never; None leaves it.

        Raises:
            ModelNotFoundError: There is no such model.
            RevisionConflictError: The model has changed since.
            ModelInvalidError: A column, the rate or the retention is not possible, or the task lacks a column.
            TypeConflictError: A column or the task is registered otherwise.
            DatabaseUnavailableError: The database does not answer, or the tables stay busy for 30 seconds.
        """
        key = key_of(project, name)
        if key is None:
            raise model_not_found(project, name)

        def grown(standing: ModelSchema) -> ModelSchema:
            schema = evolution.add_columns(standing, add_columns, field="add_columns")
            schema = evolution.sample(schema, sampling_rate) if sampling_rate is not None else schema
            if retention is not None:
                schema = evolution.set_retention(schema, retention)
            schema = model_task.settle(schema, task, "")
            return schema if unknown_columns is None else replace(schema, unknown_columns=unknown_columns)

        # Columns, roles and classes are only ever added, so even a stale schema that has them all is proof enough; of a
        # policy it is none.
        known = self._cache.get(key)
        policies = (unknown_columns, task.threshold, sampling_rate, retention)
        sets_policy = any(policy is not None for policy in policies)
        if known and not sets_policy and not revision and grown(known) is known:
            return known

        async def work(connection: asyncpg.Connection) -> ModelSchema:
            standing = await catalog.load_one(connection, key)
            if standing is None:
                raise model_not_found(project, name)
            if revision not in (0, standing.revision):
                raise RevisionConflictError(
                    f"the model {standing.name!r} is at revision {standing.revision}, not {revision}: look again",
                    metadata={"revision": str(standing.revision)},
                )
            return await construction.grow(connection, standing, grown(standing))

        return await self._change(key, work)

    async def grow(self, model: ModelSchema, columns: Sequence[ColumnLike]) -> ModelSchema:
        """Add columns to a model; raises as `update`."""
        return await self.update(model.project, model.sql_name, columns)

    async def infer(
        self, project: str, name: str, columns: Sequence[ColumnLike], identity: Identity = Identity.UNIQUE
    ) -> ModelSchema | None:
        """Make a model from its first batch, where that is allowed; of two first batches both get the winner's schema.

        Such a model adds columns it does not know, since columns that were all null at first still wait for a type.

        Returns:
            The model that stands now; None when there is none and none may be made.

        Raises:
            NameInvalidError: The model's name cannot be taken.
            ModelInvalidError: The columns are not possible.
            DatabaseUnavailableError: The database does not answer.
        """
        standing = await self.get(project, name)
        if standing is not None or not await self.may_infer(project):
            return standing
        definition = ModelDefinition(name, tuple(columns), identity, unknown_columns=UnknownColumns.ADD)
        wanted = evolution.create(names.fold_project(project), definition)
        key = (wanted.project, wanted.sql_name)

        async def work(connection: asyncpg.Connection) -> ModelSchema:
            return await catalog.load_one(connection, key) or await construction.make(connection, wanted)

        return await self._change(key, work)

    async def may_infer(self, project: str) -> bool:
        """Tell whether a first batch may make a model in the project.

        Raises:
            DatabaseUnavailableError: The database does not answer.
        """
        with told_as_unavailable():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                allowed = await catalog.project_infers(connection, names.fold_project(project))
        return allowed is not None and (allowed or self._infer_models)

    async def use_late_kind(self, model: ModelSchema, kind: str) -> ModelSchema:
        """Give a model the tables of a late kind, at its first row; nothing happens where it has them.

        Args:
            model: The model.
            kind: Name of the kind (models/late_tables.py).

        Raises:
            ModelNotFoundError: The model is no more.
            NameInvalidError: Somebody else's table has the name of one of ours.
            DatabaseUnavailableError: The database does not answer, or the tables stay busy for 30 seconds.
        """
        key = (model.project, model.sql_name)

        async def work(connection: asyncpg.Connection) -> ModelSchema:
            standing = await catalog.load_one(connection, key)
            if standing is None:
                raise model_not_found(*key)
            grown = replace(standing, late_kinds=standing.late_kinds | {kind})
            return await construction.grow(connection, standing, grown)

        return await self._change(key, work)

    async def set_chunk_interval(self, project: str, name: str, interval: timedelta) -> ModelSchema:
        """Give the model's next chunks another time span; chunks that are there stay.

        Raises:
            ModelNotFoundError: There is no such model.
            ModelInvalidError: The interval is not between 1 hour and 365 days.
            DatabaseUnavailableError: The database does not answer.
        """
        key = key_of(project, name)
        if not evolution.SHORTEST_CHUNK <= interval <= evolution.LONGEST_CHUNK:
            fault = {"chunk_interval": "must be between 1 hour and 365 days"}
            raise ModelInvalidError(f"chunk_interval {fault['chunk_interval']}", fields=fault)
        if key is None:
            raise model_not_found(project, name)

        async def work(connection: asyncpg.Connection) -> ModelSchema:
            standing = await catalog.load_one(connection, key)
            if standing is None:
                raise model_not_found(project, name)
            return await construction.grow(connection, standing, replace(standing, chunk_interval=interval))

        return await self._change(key, work)

    async def _change(self, key: Key, work: Callable[[asyncpg.Connection], Awaitable[ModelSchema]]) -> ModelSchema:
        try:
            async with asyncio.timeout(QUEUE_TIMEOUT_S):
                await self._changes.acquire()
        except TimeoutError:
            raise OverloadedError("other changes of models are still under way: try again") from None
        try:
            return self._adopt(await change_model(self._connect, *key, work))
        finally:
            self._changes.release()
