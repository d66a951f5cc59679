"""Python values → wire columns by way of Arrow, where pyarrow is at hand: half the time of Python's own loops.

Arrow looks at each value once, in C, and refuses to mix kinds; only what it takes exactly as columns.py would is
written here (truth values, whole numbers, floats, texts, times). Everything else is left to columns.py, which names the
rows at fault. Measured on rows of 13 columns: 2.0 µs a row by Python's loops in blocks, 0.8 by Arrow. But a column
costs Arrow 50 µs before its first value, so few rows are left to the loops: one row takes these 60 µs, Arrow 760.

The light client has no pyarrow, and importing it takes a tenth of a second; its first look at a list imports pandas
too, where that is installed, and takes half a second more. So log()'s thread uses it only where the process has both
loaded, and publish(), which has many rows, loads them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib.util import find_spec
from itertools import repeat
from operator import sub
from typing import Any

WORTHWHILE_ROWS = 1_024
"""From here on Arrow is the faster way."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def load() -> None:
    """Import pyarrow if it is installed: many rows are about to come."""
    with suppress(ImportError):
        import pyarrow as pa  # noqa: PLC0415 -- see above

        pa.array([])


def add_values(columns: Any, name: str, values: Sequence[object]) -> bool:
    """Write `values` as a column called `name`; one that is null everywhere is left out.

    Args:
        columns: Twin ColumnBatch.columns.
        name: Name on the wire.
        values: One value a row; None is null.

    Returns:
        False when pyarrow is not at hand, or is not sure of these values (nothing is written then).
    """
    if "pyarrow" not in sys.modules or ("pandas" not in sys.modules and _pandas_is_installed()):
        return False
    array = _times(values) if type(values[0]) is datetime else _plain(values)
    if array is None:
        return False
    from headrace.encoding.arrow_columns import add_array  # noqa: PLC0415 -- imports pyarrow

    return add_array(columns, name, array)


@cache
def _pandas_is_installed() -> bool:
    return find_spec("pandas") is not None


@cache
def _plain_types() -> frozenset[Any]:
    import pyarrow as pa  # noqa: PLC0415

    return frozenset({pa.bool_(), pa.int64(), pa.float64(), pa.string(), pa.null()})


def _plain(values: Sequence[object]) -> Any | None:
    """Return values as an Arrow array of a type that means the same as their own; None where there is none."""
    import pyarrow as pa  # noqa: PLC0415

    try:
        array = pa.array(values)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return None
    if array.type not in _plain_types():
        return None
    return None if array.type in (pa.float64(), pa.int64()) and _may_have_bools(array, values) else array


def _may_have_bools(array: Any, values: Sequence[object]) -> bool:
    """Return whether Arrow may have taken a truth value for a number; values are walked only where one is 0 or 1."""
    import pyarrow.compute as pc  # noqa: PLC0415

    suspects = pc.or_(pc.equal(array, 0), pc.equal(array, 1))
    return bool(pc.any(suspects).as_py()) and not set(map(type, values)) <= {float, int, type(None)}


def _times(values: Sequence[object]) -> Any | None:
    """Return datetimes with a zone as an Arrow array; None where one is null, naive or something else.

    Arrow asks each datetime's zone for its offset, which takes a microsecond; a difference of two with one zone
    does not, and Arrow reads differences fast.
    """
    import pyarrow as pa  # noqa: PLC0415

    try:
        spans = pa.array(list(map(sub, values, repeat(_EPOCH))), pa.duration("us"))
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return None
    return spans.cast(pa.int64()).cast(pa.timestamp("us"))
