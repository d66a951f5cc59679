"""Columns guessed from the values of a batch: for a model's first batch, and for models that add unknown columns.

Numbers become FLOAT64, whole ones too: the next batch may hold 0.5. A column without a value waits for one.
"""

from collections.abc import Callable, Mapping

import pyarrow as pa

from headrace_server.decoding.decoded import Cells
from headrace_server.models.column_types import ValueType
from headrace_server.models.definition import ColumnDefinition
from headrace_server.models.schema import ColumnKind
from headrace_server.models.system_columns import MEDIA_BYTES, SYSTEM_NAMES

_ABOUT_MEDIA = "The media that the event is about, where they came with it"


def infer_columns(cells_by_name: Mapping[str, Cells], kind: ColumnKind) -> list[ColumnDefinition]:
    """Guess a column for every name with a value; system columns are none of a model's own.

    Args:
        cells_by_name: The batch's columns.
        kind: What the columns are to the model.
    """
    columns = []
    for name, cells in cells_by_name.items():
        if name in SYSTEM_NAMES:
            continue
        if name == MEDIA_BYTES:
            columns.append(ColumnDefinition(name, ColumnKind.EXTRA, ValueType.BYTES, description=_ABOUT_MEDIA))
            continue
        inferred = _type_of(cells)
        if inferred is not None:
            value_type, dimension = inferred
            columns.append(ColumnDefinition(name, kind, value_type, dimension))
    return columns


_BY_ARROW: tuple[tuple[Callable[[pa.DataType], bool], ValueType], ...] = (
    (pa.types.is_boolean, ValueType.BOOL),
    (pa.types.is_integer, ValueType.FLOAT64),
    (pa.types.is_floating, ValueType.FLOAT64),
    (pa.types.is_timestamp, ValueType.TIMESTAMP),
    (pa.types.is_string, ValueType.STRING),
    (pa.types.is_binary, ValueType.STRING),
    (pa.types.is_large_binary, ValueType.BYTES),
)


def _type_of(cells: Cells) -> tuple[ValueType, int] | None:
    array = cells.values
    if not isinstance(array, pa.Array):
        return _type_of_mixed([value for value in array if value is not None])
    if array.null_count == len(array):
        return None
    if cells.is_json:
        return ValueType.JSON, 0
    if pa.types.is_list(array.type):
        return _type_of_lists(array)
    return next(value_type for matches, value_type in _BY_ARROW if matches(array.type)), 0


def _type_of_mixed(values: list[object]) -> tuple[ValueType, int] | None:
    """Values of several types are documents, unless all are numbers: whole ones beyond 64 bits, or beside fractions."""
    if not values:
        return None
    numbers = all(type(value) in {int, float} for value in values)
    return ValueType.FLOAT64 if numbers else ValueType.JSON, 0


def _type_of_lists(array: pa.Array) -> tuple[ValueType, int]:
    """Lists of numbers of one length are vectors, lists of texts are string lists, the rest is JSON."""
    items = array.type.value_type
    if pa.types.is_string(items) or pa.types.is_binary(items):
        return ValueType.STRING_LIST, 0
    lengths = set(array.drop_null().value_lengths().to_pylist())
    if len(lengths) == 1 and (pa.types.is_floating(items) or pa.types.is_integer(items)) and min(lengths) > 0:
        return ValueType.VECTOR, lengths.pop()
    return ValueType.JSON, 0
