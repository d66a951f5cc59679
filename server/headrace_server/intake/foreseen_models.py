"""The registry for batches that are only validated: models as they would be made or grown, and nothing is changed."""

from collections.abc import Sequence
from dataclasses import replace

from headrace_server.models import evolution, names
from headrace_server.models.definition import ColumnLike, ModelDefinition
from headrace_server.models.registry import Registry
from headrace_server.models.schema import ModelSchema, UnknownColumns


class ForeseenModels:
    """Reads as the registry does; what it makes or grows has revision 0 and is kept nowhere.

    Args:
        registry: The models there are.
    """

    def __init__(self, registry: Registry) -> None:
        self.peek = registry.peek
        self.get = registry.get
        self.refresh = registry.refresh
        self._registry = registry

    async def infer(self, project: str, name: str, columns: Sequence[ColumnLike]) -> ModelSchema | None:
        """The model that its first batch would make.

        Raises:
            NameInvalidError, ModelInvalidError: None could be made of it.
            DatabaseUnavailableError: The database does not answer.
        """
        standing = await self._registry.get(project, name)
        if standing is not None or not await self._registry.may_infer(project):
            return standing
        definition = ModelDefinition(name, tuple(columns), unknown_columns=UnknownColumns.ADD)
        return evolution.create(names.fold_project(project), definition)

    async def grow(self, model: ModelSchema, columns: Sequence[ColumnLike]) -> ModelSchema:
        """The model with the columns it would have.

        Raises:
            ModelInvalidError, TypeConflictError: A column could not be added.
        """
        return replace(evolution.add_columns(model, columns), revision=0)

    async def use_late_kind(self, model: ModelSchema, kind: str) -> ModelSchema:
        """The model as it would be; its rows are told STORED, since nothing can have the tables that are not there."""
        return replace(model, late_kinds=model.late_kinds | {kind}, revision=0)
