"""Rows of the database → parts of a result: typed Arrow columns, and those as the wire has them.

A part is about PART_BYTES, whatever a row weighs: the size of the next one follows the last one's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import pyarrow as pa

from headrace.encoding import wire
from headrace.encoding.arrow_columns import add_array
from headrace.encoding.columns import add_column
from headrace.v1 import batch_pb2
from headrace_server.models.column_types import ValueType
from headrace_server.queries.columns import ReadColumn

PART_BYTES = 1024 * 1024
MOST_ROWS = 5_000
FIRST_ROWS = 500
MOST_ROWS_WITH_BYTES = 16  # each up to 256 KiB: as much as a message takes, whatever the rows before were


@dataclass(frozen=True)
class Part:
    """Rows of a result.

    Attributes:
        columns: What they have.
        table: The rows; its columns stand in the same order.
    """

    columns: Sequence[ReadColumn]
    table: pa.RecordBatch

    @staticmethod
    def of(columns: Sequence[ReadColumn], records: Sequence[asyncpg.Record]) -> "Part":
        """Return rows as a part; better not on the event loop."""
        cells = zip(*records, strict=True) if records else ([] for _ in columns)
        arrays = [pa.array(values, column.type.arrow) for column, values in zip(columns, cells, strict=True)]
        return Part(columns, pa.RecordBatch.from_arrays(arrays, [column.name for column in columns]))

    def to_wire(self) -> batch_pb2.ColumnBatch:
        """Return the rows as the wire has them; better not on the event loop."""
        batch = wire.ColumnBatch(row_count=self.table.num_rows)
        for column, array in zip(self.columns, self.table.columns, strict=True):
            if not add_array(batch.columns, column.name, array):
                add_column(batch.columns, column.name, array.to_pylist())
            elif column.type is ValueType.JSON and array.null_count < len(array):
                _as_json(batch.columns[-1])
        return batch_pb2.ColumnBatch.FromString(batch.SerializeToString())

    def halves(self) -> "tuple[Part, Part]":
        """Return its first and its second half."""
        middle = self.table.num_rows // 2
        return Part(self.columns, self.table.slice(0, middle)), Part(self.columns, self.table.slice(middle))


def most_rows(columns: Sequence[ReadColumn], most: int) -> int:
    """Return how many rows with such columns may be in memory at a time: `most`, or far fewer where they hold media."""
    return MOST_ROWS_WITH_BYTES if any(column.type is ValueType.BYTES for column in columns) else most


def rows_of_next(part: Part) -> int:
    """Return how many rows the part after this one should have."""
    row_bytes: int = max(1, part.table.nbytes // max(1, part.table.num_rows))
    return max(1, min(most_rows(part.columns, MOST_ROWS), PART_BYTES // row_bytes))


def _as_json(column: batch_pb2.Column) -> None:
    """Say of a column of texts that they are documents."""
    texts = type(column.strings)()
    texts.CopyFrom(column.strings)
    column.json.CopyFrom(texts)
