"""What rows of one kind, for one model, may look like: made by the record kinds, read by validation.

Validation knows no record kind; everything a kind demands of its rows is said here as fields and rules.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace_server.models.column_types import ValueType
from headrace_server.models.schema import UnknownColumns
from headrace_server.models.system_columns import EVENT_TIME
from headrace_server.validation.rejections import Rejections

Mask = npt.NDArray[np.bool_]


class CellsCheck(Protocol):
    """A demand on a column's values beyond their type: may reject rows, changes nothing."""

    def __call__(self, cells: pa.Array, name: str, rejections: Rejections) -> None:
        """Check cells that were cast to the column's type; `name` is the client's name for the column."""


@dataclass(frozen=True)
class Field:
    """One column that rows may have.

    Attributes:
        sql_name: Column of the table.
        type: Type of its values.
        dimension: Numbers in a vector; 0 for other types.
        max_bytes: Longest text, list item or JSON document.
        is_uuid: Texts are UUIDs and are stored as such.
        too_long: Reason for a text above max_bytes.
        check: What is asked of the values beyond their type.
    """

    sql_name: str
    type: ValueType
    dimension: int = 0
    max_bytes: int = 64 * 1024
    is_uuid: bool = False
    too_long: str = "TEXT_TOO_LONG"
    check: CellsCheck | None = None

    @property
    def out_of_range(self) -> str:
        """Reason for a time that no table holds."""
        return "EVENT_TIME_OUT_OF_RANGE" if self.sql_name == EVENT_TIME.name else "VALUE_OUT_OF_RANGE"

    @property
    def arrow(self) -> pa.DataType:
        """Arrow type of its cells once validated."""
        return pa.binary(16) if self.is_uuid else self.type.arrow


@dataclass(frozen=True)
class Moment:
    """When and how a batch was received, as far as its rows' values depend on it.

    Attributes:
        observed: The service's clock at first receipt, UTC.
        model_version: The batch's version; empty for none.
    """

    observed: datetime
    model_version: str = ""


class RowRule(Protocol):
    """A demand on whole rows: may fill in columns, may reject rows; columns without any value are absent."""

    def __call__(self, columns: dict[str, pa.Array], row_count: int, moment: Moment, rejections: Rejections) -> None:
        """Check and complete the columns, which are validated one by one before."""


class Sampler(Protocol):
    """Says which good rows are kept."""

    def __call__(self, columns: dict[str, pa.Array], row_count: int, moment: Moment) -> Mask | None:
        """The rows to keep, None for all; may fill in columns."""


@dataclass(frozen=True)
class RowSchema:
    """Everything validation has to know.

    Attributes:
        fields: The columns rows may have, by every name a client may use.
        refused: Names that exist but do not belong in such rows: reason and message.
        unknown: What happens to other names.
        rules: Demands on whole rows, in order.
        sampler: Says which of the good rows are kept; None: all.
        unknown_reason: Reason for an unknown name that is rejected.
    """

    fields: Mapping[str, Field]
    refused: Mapping[str, tuple[str, str]]
    unknown: UnknownColumns
    rules: Sequence[RowRule] = field(default=())
    sampler: Sampler | None = None
    unknown_reason: str = "UNKNOWN_COLUMN"

    @cached_property
    def json_columns(self) -> frozenset[str]:
        """Columns of the table that hold JSON documents."""
        return frozenset(field.sql_name for field in self.fields.values() if field.type is ValueType.JSON)
