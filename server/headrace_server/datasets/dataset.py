"""A dataset as the registry of datasets has it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from headrace_server.errors import NameInvalidError
from headrace_server.models import names
from headrace_server.models.schema import ModelColumn

MAX_NAME_BYTES = 128


@dataclass(frozen=True)
class Dataset:
    """A dataset that is there, whole.

    Attributes:
        id: Id of the job that published it.
        model: sql_name of its model; None where it belongs to none.
        model_name: Name of its model as registered; empty where it belongs to none.
        name: As it was published.
        table_name: Table in the project's schema that holds its rows alone.
        columns: Its columns where it belongs to no model; else None.
        completed_columns: SQL names of the columns filled after it was published.
        is_baseline: Whether it is its model's baseline.
        influences_table: Table in the project's schema that holds the influences on it; None: there are none.
        influence_rows: Rows of it.
    """

    id: UUID
    project: str
    model: str | None
    model_name: str
    name: str
    table_name: str
    rows: int
    columns: tuple[ModelColumn, ...] | None
    completed_columns: tuple[str, ...]
    is_baseline: bool
    created_at: datetime
    influences_table: str | None = None
    influence_rows: int = 0


def checked_name(name: str) -> str:
    """Return a dataset's name, if it is one: it is a value, so nearly every text will do.

    Raises:
        NameInvalidError: It is empty, longer than 128 bytes, or no text for PostgreSQL.
    """
    if not name or len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES or not names.storable(name):
        raise NameInvalidError(
            f"a dataset's name has 1 to {MAX_NAME_BYTES} bytes and no NUL; {name[:60]!r} is none",
            fields={"dataset": f"1 to {MAX_NAME_BYTES} bytes, no NUL"},
        )
    return name
