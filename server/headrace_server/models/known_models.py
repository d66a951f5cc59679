"""The models this replica knows: a cache that never waits, kept as new as its news.

All replicas share the truth in the headrace schema. Whoever changes a model says so by a NOTIFY, and every replica
reads a model again that was named in one (storage/listener.py). A schema in the cache may be older than the database,
but never by a column that an ack depends on: a miss is read again.
"""

from collections.abc import Callable, Sequence

import asyncpg

from headrace_server.errors import ModelNotFoundError, NameInvalidError
from headrace_server.models import catalog, names
from headrace_server.models.catalog import Key
from headrace_server.models.schema import ModelSchema
from headrace_server.storage.outage import told_as_unavailable

ACQUIRE_TIMEOUT_S = 10.0

Subscriber = Callable[[ModelSchema], None]


class KnownModels:
    """Models of all projects, as far as anybody has asked for them.

    Args:
        pool: For reading.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._cache: dict[Key, ModelSchema] = {}
        self._subscribers: list[Subscriber] = []

    def peek(self, project: str, name: str) -> ModelSchema | None:
        """Return the model if the cache has it; never waits."""
        key = key_of(project, name)
        return self._cache.get(key) if key else None

    async def get(self, project: str, name: str) -> ModelSchema | None:
        """Return the model in any form of its name, or None when there is none.

        Raises:
            DatabaseUnavailableError: It is not in the cache, and the database does not answer.
        """
        key = key_of(project, name)
        if key is None:
            return None
        return self._cache.get(key) or await self._read(key)

    async def list(self, project: str, after: str = "", limit: int = 100) -> Sequence[ModelSchema]:
        """Return a page of the project's models, ordered by sql_name.

        Args:
            project: The project.
            after: sql_name of the last model of the page before.
            limit: Most models to return.

        Raises:
            NameInvalidError: The project or `after` is no name.
            DatabaseUnavailableError: The database does not answer.
        """
        project, after = names.fold_project(project), names.fold(after) if after else ""
        with told_as_unavailable():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                return await catalog.load_page(connection, project, after, limit)

    async def sampling_rates(self, project: str) -> dict[str, float]:
        """Return the rates of the project's sampled models, by the models' names; 1,000 of them at most.

        Raises:
            DatabaseUnavailableError: The database does not answer.
        """
        with told_as_unavailable():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                return await catalog.sampling_rates(connection, project)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Have `subscriber` called with each new schema of a model, whoever changed it.

        Args:
            subscriber: Called on the event loop; must neither block nor raise.

        Returns:
            Ends the subscription; may be called again.
        """
        self._subscribers.append(subscriber)

        def unsubscribe() -> None:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

        return unsubscribe

    async def refresh(self, keys: Sequence[Key] | None = None) -> None:
        """Read models again that are in the cache: those named, or all.

        Raises:
            DatabaseUnavailableError: The database does not answer.
        """
        wanted = [key for key in (self._cache if keys is None else keys) if key in self._cache]
        if not wanted:
            return
        with told_as_unavailable():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                found = await catalog.load(connection, wanted)
        for key in wanted:
            if key in found:
                self._adopt(found[key])
            else:
                self._cache.pop(key, None)

    async def read_announced(self, announced: Sequence[str] | None) -> None:
        """Read again what was announced (models/ddl_transaction.py): those models of the cache, or with None all.

        Raises:
            DatabaseUnavailableError: The database does not answer.
        """
        if announced is None:
            await self.refresh()
            return
        parts = [each.partition(".") for each in announced]
        await self.refresh([(project, sql_name) for project, _, sql_name in parts])

    async def _read(self, key: Key) -> ModelSchema | None:
        with told_as_unavailable():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                schema = await catalog.load_one(connection, key)
        return self._adopt(schema) if schema else None

    def _adopt(self, schema: ModelSchema) -> ModelSchema:
        """Take a schema that was read; reads overtake each other, so an older one changes nothing."""
        key = (schema.project, schema.sql_name)
        held = self._cache.get(key)
        if held and (held.created_at, held.revision) >= (schema.created_at, schema.revision):
            return held
        self._cache[key] = schema
        if held:
            for subscriber in tuple(self._subscribers):
                subscriber(schema)
        return schema


def key_of(project: str, name: str) -> Key | None:
    """Return the key of a model in any form of its name; None where that can be no model's."""
    try:
        return names.fold_project(project), names.fold(name)
    except NameInvalidError:
        return None


def model_not_found(project: str, name: str) -> ModelNotFoundError:
    """Return the error for a name that stands for no model."""
    return ModelNotFoundError(
        f"there is no model {name!r} in the project {project!r}: register it",
        metadata={"project": project, "model": name},
    )
