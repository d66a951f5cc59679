"""Decoded rows: what every form becomes before anyone asks whether the values are right.

Comes from the decoders, goes to validation. Nothing here is checked against a model; names are the client's own.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

MAX_COLUMNS = 1_600  # PostgreSQL's own limit for a table
MAX_CELLS = 10_000_000  # rows × columns: rows that share no key must not make an empty table of gigabytes
MAX_NAME_CHARACTERS = 256  # as of a registered column; names are written into every dead letter


class UndecodableError(Exception):
    """The form does not hold together, so no row of the batch can be told from another.

    Attributes:
        reason: Its name in error_reason.proto.
    """

    def __init__(self, message: str, reason: str = "UNDECODABLE") -> None:
        super().__init__(message)
        self.reason = reason


def check_size(row_count: int, column_count: int) -> None:
    """Check that so many rows and columns can be a table at all.

    Raises:
        UndecodableError: There are too many columns, or too many cells.
    """
    if column_count > MAX_COLUMNS:
        raise UndecodableError(f"{column_count} different columns; at most {MAX_COLUMNS} are possible")
    if row_count * column_count > MAX_CELLS:
        text = f"{row_count} rows × {column_count} columns; at most {MAX_CELLS} cells are taken: send smaller batches"
        raise UndecodableError(text)


def check_names(names: Iterable[str]) -> None:
    """Check that columns can have these names.

    Raises:
        UndecodableError: One is too long.
    """
    longest = max(names, key=len, default="")
    if len(longest) > MAX_NAME_CHARACTERS:
        raise UndecodableError(f"the column name {longest[:60]!r}… is longer than {MAX_NAME_CHARACTERS} characters")


class JsonText(str):
    """A JSON document among cells of other kinds."""

    __slots__ = ()


class UnixMicros(int):
    """A point in time among cells of other kinds: microseconds since 1970."""

    __slots__ = ()


class RawBytes(bytes):
    """Bytes that were sent as such, among cells of other kinds: no text that is not UTF-8."""

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
        """The cells one by one; documents as JsonText, times as UnixMicros, since datetime knows fewer years.

        Of texts that came as a binary array those that are UTF-8 are texts, the others bytes; what was sent as bytes is
        RawBytes.
        """
        if isinstance(self.values, list):
            return self.values
        if pa.types.is_timestamp(self.values.type):
            micros = self.values.cast(pa.int64()).to_pylist()
            return [None if value is None else UnixMicros(value) for value in micros]
        cells: list[object] = self.values.to_pylist()
        if self.holds_bad_text:
            cells = [_decoded(cell) for cell in cells]
        if pa.types.is_large_binary(self.values.type):
            return [RawBytes(value) if isinstance(value, bytes) else None for value in cells]
        if self.is_json:
            return [JsonText(value) if isinstance(value, str) else value for value in cells]
        return cells

    @property
    def holds_bad_text(self) -> bool:
        """Whether some text is not UTF-8."""
        if isinstance(self.values, list):
            return False
        kind = self.values.type
        return bool(pa.types.is_binary(kind) or (pa.types.is_list(kind) and pa.types.is_binary(kind.value_type)))


def _decoded(cell: object) -> object:
    if isinstance(cell, list):
        return [_decoded(item) for item in cell]
    if isinstance(cell, bytes):
        try:
            return cell.decode()
        except UnicodeDecodeError:
            return cell
    return cell


@dataclass(frozen=True)
class DecodedRows:
    """Rows of one batch by column.

    Attributes:
        row_count: Cells in each column.
        columns: Cells by the client's column name.
    """

    row_count: int
    columns: dict[str, Cells]
