"""Python values of one column, as the row forms yield them, packed into an Arrow array where they agree in type.

The row forms have no column types: a client may send 1 in one row and "a" in the next. A column that agrees goes on as
an array and is validated in bulk; one that does not stays Python values, and validation judges each cell.
"""

import pyarrow as pa

from headrace_server.decoding.decoded import Cells

_BULK = (pa.types.is_boolean, pa.types.is_int64, pa.types.is_float64, pa.types.is_string, pa.types.is_null)


def pack(values: list[object]) -> Cells:
    """Pack values (None is null) that came without a type."""
    first = next((value for value in values if value is not None), None)
    if isinstance(first, dict):  # Arrow would make one struct of all documents: each stays its own
        return Cells(values)
    try:
        array = pa.array(values)
    except (pa.ArrowException, OverflowError, ValueError, TypeError):
        return Cells(values)
    if any(accepts(array.type) for accepts in _BULK) or _is_bulk_list(array.type):
        return Cells(array)
    return Cells(values)


def _is_bulk_list(arrow_type: pa.DataType) -> bool:
    return pa.types.is_list(arrow_type) and any(accepts(arrow_type.value_type) for accepts in _BULK)
