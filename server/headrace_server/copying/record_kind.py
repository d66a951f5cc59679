"""What a kind of record is to the stages: the rows it accepts and where they land. One small module a kind."""

from typing import Protocol

from headrace_server.copying.landing import Landing
from headrace_server.models.schema import ModelSchema
from headrace_server.validation.row_schema import RowSchema


class RecordKind(Protocol):
    """A kind of record, for any model.

    Attributes:
        adds_columns: Whether an unknown column in its rows may become a column of the model.
        takes_none: Reason for the rows of a model that takes none of the kind, and what to say of the model.
    """

    adds_columns: bool
    takes_none: tuple[str, str]

    def row_schema(self, model: ModelSchema) -> RowSchema | None:
        """What its rows may look like; None when the model takes none (then takes_none says why)."""

    def lacks(self, model: ModelSchema) -> str:
        """Name of the tables that its first row makes, where the model does not have them; else empty."""

    def landing(self, model: ModelSchema) -> Landing:
        """Where its rows go; the same object for the same revision of a model."""
