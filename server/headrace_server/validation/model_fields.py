"""The fields of a model's own columns: their types, their lengths, and what their roles ask of values.

Every record kind that carries a model's columns takes them from here, so a value is checked alike wherever it is sent.
"""

from collections.abc import Iterable, Mapping

from headrace.schemas.tasks import ColumnRole, TaskType
from headrace_server.models.column_types import ValueType
from headrace_server.models.schema import ModelColumn, ModelSchema
from headrace_server.validation.documents import DRAWN_BY_ROLE, DocumentCheck, Objects, Probabilities
from headrace_server.validation.known_classes import KnownClasses
from headrace_server.validation.number_checks import AtLeast, Probability
from headrace_server.validation.row_schema import CellsCheck, Field

LONG_TEXT_BYTES = 1024 * 1024
MOST_INLINE_BYTES = 256 * 1024
_LONG = frozenset({ColumnRole.PROMPT, ColumnRole.RESPONSE, ColumnRole.PROBABILITIES, *DRAWN_BY_ROLE})
_OF_CLASSES = frozenset(
    {TaskType.BINARY_CLASSIFICATION, TaskType.MULTICLASS_CLASSIFICATION, TaskType.IMAGE_CLASSIFICATION, None}
)


def model_fields(model: ModelSchema, columns: Iterable[ModelColumn]) -> dict[str, Field]:
    """Return the fields of these columns by every name a client may use: as written, folded, and by role.

    A role names its column where no column of the model has that name: {"probabilities": …} is the column of role
    PROBABILITIES.
    """
    taken = {name for column in model.columns for name in (column.name, column.sql_name)}
    fields: dict[str, Field] = {}
    by_role: dict[str, Field] = {}
    for column in columns:
        field = _field(model, column)
        fields.setdefault(column.name, field)
        fields[column.sql_name] = field
        if column.role is not None and column.role.name.lower() not in taken:
            by_role[column.role.name.lower()] = field
    return fields | by_role


def _field(model: ModelSchema, column: ModelColumn) -> Field:
    if column.type is ValueType.BYTES:
        return Field(column.sql_name, column.type, max_bytes=MOST_INLINE_BYTES)
    long = column.role in _LONG
    check = _check(model, column.role) if column.role else None
    if long:
        return Field(column.sql_name, column.type, column.dimension, max_bytes=LONG_TEXT_BYTES, check=check)
    return Field(column.sql_name, column.type, column.dimension, check=check)


def _check(model: ModelSchema, role: ColumnRole) -> CellsCheck | None:
    if role in DRAWN_BY_ROLE:
        return DocumentCheck(Objects(DRAWN_BY_ROLE[role], frozenset(model.classes)))
    if role is ColumnRole.PROBABILITIES:
        return DocumentCheck(Probabilities(frozenset(model.classes)))
    if role in {ColumnRole.PREDICTED_CLASS, ColumnRole.TARGET} and model.classes and model.task in _OF_CLASSES:
        return KnownClasses(model.classes)
    return _OF_NUMBERS.get(role)


_OF_NUMBERS: Mapping[ColumnRole, CellsCheck] = {
    ColumnRole.SCORE: Probability(),
    ColumnRole.RANK: AtLeast(1),
    ColumnRole.RELEVANCE: AtLeast(0),
}
