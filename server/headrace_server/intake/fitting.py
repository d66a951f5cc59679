"""The model that a batch is validated by: read again, or grown, when the batch has a column that it does not know.

The column for media that come with their event is added whatever the model says of unknown ones, with the first that
come: few models ever need it.
"""

from collections.abc import Sequence
from time import monotonic
from typing import Protocol

from headrace_server.decoding.decoded import DecodedRows
from headrace_server.errors import HeadraceError, RetryableError
from headrace_server.intake.inference import infer_columns
from headrace_server.models.definition import ColumnDefinition, ColumnLike
from headrace_server.models.schema import ColumnKind, ModelSchema, UnknownColumns
from headrace_server.models.system_columns import MEDIA_BYTES
from headrace_server.validation.row_schema import RowSchema
from headrace_server.validation.validate import unknown_columns

READ_AGAIN_AFTER_S = 1.0


class RowKind(Protocol):
    """A kind of rows, as far as its columns go."""

    adds_columns: bool

    def row_schema(self, model: ModelSchema) -> RowSchema | None:
        """What its rows may look like; None when the model takes none."""


class Models(Protocol):
    """What is asked of the registry (models/registry.py)."""

    def peek(self, project: str, name: str) -> ModelSchema | None:
        """The model if it is known here; never waits."""

    async def get(self, project: str, name: str) -> ModelSchema | None:
        """The model, or None when there is none."""

    async def infer(self, project: str, name: str, columns: Sequence[ColumnLike]) -> ModelSchema | None:
        """The model that its first batch makes; None when none may be made."""

    async def grow(self, model: ModelSchema, columns: Sequence[ColumnLike]) -> ModelSchema:
        """The model with more columns."""

    async def use_late_kind(self, model: ModelSchema, kind: str) -> ModelSchema:
        """The model with the tables of a late kind."""

    async def refresh(self, keys: Sequence[tuple[str, str]]) -> None:
        """Read models again."""


class Fitting:
    """Fits models to batches.

    Args:
        models: Where models come from, and where a batch may grow one.
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self._read_again_at: dict[tuple[str, str], float] = {}

    async def fit(self, kind: RowKind, model: ModelSchema, rows: DecodedRows) -> tuple[ModelSchema, RowSchema] | None:
        """Return the model to validate by, and what its rows may look like; None where it takes none of this kind.

        Raises:
            DatabaseUnavailableError: The registry has to be asked, and does not answer.
        """
        schema = kind.row_schema(model)
        if schema is None:
            return None
        unknown = unknown_columns(rows, schema)
        if unknown and self._may_read_again(model):
            await self._models.refresh([(model.project, model.sql_name)])
            model = self._models.peek(model.project, model.sql_name) or model
            schema = kind.row_schema(model) or schema
            unknown = unknown_columns(rows, schema)
        if model.unknown_columns is not UnknownColumns.ADD:
            unknown = {name: cells for name, cells in unknown.items() if name == MEDIA_BYTES}
        if unknown and kind.adds_columns:
            model = await self._grown(model, infer_columns(unknown, ColumnKind.FEATURE))
            schema = kind.row_schema(model) or schema
        return model, schema

    async def _grown(self, model: ModelSchema, columns: list[ColumnDefinition]) -> ModelSchema:
        """The model with all columns that can be added; validation tells the rows of the others so."""
        if not columns:
            return model
        try:
            return await self._models.grow(model, columns)
        except RetryableError:
            raise
        except HeadraceError:
            if len(columns) == 1:
                return model
        half = len(columns) // 2
        return await self._grown(await self._grown(model, columns[:half]), columns[half:])

    def _may_read_again(self, model: ModelSchema) -> bool:
        """Whether the registry may be asked again: NOTIFY tells of changes, this only covers its delay."""
        key, now = (model.project, model.sql_name), monotonic()
        if self._read_again_at.get(key, 0.0) > now:
            return False
        self._read_again_at[key] = now + READ_AGAIN_AFTER_S
        return True
