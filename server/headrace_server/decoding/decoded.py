"""Decoded rows: what every form becomes before anyone asks whether the values are right.

Comes from the decoders, goes to validation. Nothing here is checked against a model; names are the client's own.
"""

from dataclasses import dataclass

import pyarrow as pa

MAX_COLUMNS = 1_600  # PostgreSQL's own limit for a table


class UndecodableError(Exception):
    """The form does not hold together, so no row of the batch can be told from another."""


class JsonText(str):
    """A JSON document among cells of other kinds."""

    __slots__ = ()


class UnixMicros(int):
    """A point in time among cells of other kinds: microseconds since 1970."""

    __slots__ = ()


@dataclass(frozen=True)
class Cells:
    """One column as it was sent.

    Attributes:
        values: An Arrow array where all cells have one type, else the Python values themselves with None for null.
            Texts that are not UTF-8 come as a binary array.
        is_json: The texts are JSON documents, not texts.
    """

    values: pa.Array | list[object]
    is_json: bool = False

    def python_values(self) -> list[object]:
        """The cells one by one; documents as JsonText, times as UnixMicros, since datetime knows fewer years."""
        if isinstance(self.values, list):
            return self.values
        if pa.types.is_timestamp(self.values.type):
            micros = self.values.cast(pa.int64()).to_pylist()
            return [None if value is None else UnixMicros(value) for value in micros]
        cells: list[object] = self.values.to_pylist()
        if self.is_json:
            return [JsonText(value) if isinstance(value, str) else value for value in cells]
        return cells


@dataclass(frozen=True)
class DecodedRows:
    """Rows of one batch by column.

    Attributes:
        row_count: Cells in each column.
        columns: Cells by the client's column name.
    """

    row_count: int
    columns: dict[str, Cells]
