"""Demands on whole rows that more than one late kind makes."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace_server.validation.casting import as_mask
from headrace_server.validation.rejections import Rejections
from headrace_server.validation.row_rules import refused_in
from headrace_server.validation.row_schema import Mask, Moment


@dataclass(frozen=True)
class SomeRequired:
    """Demands a value in at least one of some columns.

    Attributes:
        reason: Reason for a row without any.
        names: The columns.
        message: What is wrong with such a row.
    """

    reason: str
    names: tuple[str, ...]
    message: str

    def __call__(self, columns: dict[str, pa.Array], row_count: int, moment: Moment, rejections: Rejections) -> None:
        """Apply the rule."""
        without = ~rejections.mask()  # a row whose only value was refused has its verdict already
        for name in self.names:
            if name in columns:
                without &= as_mask(columns[name].is_null())
        rejections.add(self.reason, "", without, self.message)


@dataclass(frozen=True)
class ColumnRequired:
    """Demands a value in one column; the empty text is none.

    Attributes:
        reason: Reason for a row without it.
        name: The column.
        message: What is wrong with such a row.
    """

    reason: str
    name: str
    message: str

    def __call__(self, columns: dict[str, pa.Array], row_count: int, moment: Moment, rejections: Rejections) -> None:
        """Apply the rule."""
        column = columns.get(self.name)
        missing = np.ones(row_count, dtype=np.bool_) if column is None else ~has_value(column)
        rejections.add(self.reason, self.name, missing & ~refused_in(self.name, rejections), self.message)


def has_value(column: pa.Array) -> Mask:
    """The rows in which a column has a value; the empty text is none."""
    present = as_mask(column.is_valid())
    if pa.types.is_string(column.type):
        present &= as_mask(pc.not_equal(column, "").fill_null(False))
    return present
