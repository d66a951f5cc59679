"""What publish() and Schema.infer read: many kinds of source, one kind of chunk.

A chunk is some thousands of consecutive rows of the source, as named columns. Python rows and dicts of lists are read
here; DataFrames, Arrow and files by frames.py, imported only when such a source comes. Sources are streamed: one chunk
is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from headrace.encoding import arrow_values
from headrace.encoding.table import RowTable, Table
from headrace.errors import InvalidArgumentError
from headrace.logged.rows import columns_of
from headrace.times import as_datetime, datetime_micros

if TYPE_CHECKING:
    from headrace.schemas.column import ValueType

Names: TypeAlias = Sequence[str]
_ARROW_FACES = ("__arrow_c_stream__", "__arrow_c_array__")
TIME_COLUMNS = frozenset({"event_time", "label_time", "metric_time"})
TypeOfValues: TypeAlias = "Callable[[Sequence[object]], tuple[ValueType, int] | str]"


class Chunk(Protocol):
    """Consecutive rows of a source."""

    @property
    def names(self) -> Names:
        """Names of the columns."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def ids(self, name: str) -> Any:
        """Return a column of ids, as a sequence or an Arrow array, that keeps nothing else of the source in memory."""

    def types(self, of_values: TypeOfValues) -> Mapping[str, tuple[ValueType, int] | str]:
        """Return the type of each column, or what keeps it from being told; untyped ones by `of_values`."""

    def millis(self, name: str) -> Sequence[int | None]:
        """Return a column of times in milliseconds since 1970; None where there is no time."""

    def rows_with_a_value(self, names: Names) -> Sequence[int]:
        """Return the rows in which one of these columns has a value."""

    def table(
        self,
        source_rows: Sequence[int],
        columns: Mapping[str, str],
        *,
        event_ids: Sequence[object] = (),
        event_micros: Sequence[int] | None = None,
    ) -> Table:
        """Return these columns (name → wire name) as a table, with ids and times that are not in the source.

        Columns that go out as event_time, label_time or metric_time may hold anything that is a time.
        """


class RowChunk:
    """Rows that are Python values, by column."""

    def __init__(self, columns: Mapping[str, Sequence[object]]) -> None:
        self._columns = columns
        self._count = len(next(iter(columns.values()), ()))

    @property
    def names(self) -> Names:
        """Names of the columns."""
        return list(self._columns)

    def __len__(self) -> int:
        return self._count

    def ids(self, name: str) -> Any:
        """Return a column of ids; nulls where none of these rows has the column."""
        return self._columns.get(name) or [None] * self._count

    def types(self, of_values: TypeOfValues) -> Mapping[str, tuple[ValueType, int] | str]:
        """Return the type of each column by its values."""
        return {name: of_values(values) for name, values in self._columns.items()}

    def millis(self, name: str) -> Sequence[int | None]:
        """Return a column of times in milliseconds since 1970; None where there is no time."""
        times = map(_time, self._columns[name])
        return [datetime_micros(time) // 1000 if isinstance(time, datetime) else None for time in times]

    def rows_with_a_value(self, names: Names) -> Sequence[int]:
        """Return the rows in which one of these columns has a value."""
        chosen = [self._columns[name] for name in names]
        return [row for row, values in enumerate(zip(*chosen, strict=True)) if any(v is not None for v in values)]

    def table(
        self,
        source_rows: Sequence[int],
        columns: Mapping[str, str],
        *,
        event_ids: Sequence[object] = (),
        event_micros: Sequence[int] | None = None,
    ) -> RowTable:
        """Return these columns as a table."""
        cells = {wire: self._columns[name] for name, wire in columns.items()}
        for name in TIME_COLUMNS & cells.keys():
            if set(map(type, cells[name])) != {datetime}:
                cells[name] = list(map(_time, cells[name]))
        ids = cells.pop("event_id", event_ids)
        return RowTable(source_rows, ids, event_micros, cells)


def chunks(source: object, rows: int, *, nan: str = "null") -> Iterator[Chunk]:
    """Yield the source in chunks of up to `rows` rows.

    Args:
        source: As for Model.publish.
        rows: Most rows in a chunk.
        nan: "null" or "keep": what NaN of a pandas DataFrame means.

    Raises:
        InvalidArgumentError: The source is of no known kind.
    """
    fields = getattr(getattr(source, "dtype", None), "names", None)
    if isinstance(source, Mapping):
        yield from chunks_of_lists(source, rows)
    elif fields:  # a structured numpy array
        yield from chunks_of_lists({name: source[name] for name in fields}, rows)  # type: ignore[index]
    elif isinstance(source, str | PathLike) or any(hasattr(source, face) for face in _ARROW_FACES):
        from headrace.sources import frames  # noqa: PLC0415 -- the light client has no pyarrow

        yield from frames.chunks(source, rows, nan=nan)
    elif isinstance(source, Iterable):
        yield from _of_rows(source, rows)
    else:
        raise InvalidArgumentError(
            f"cannot publish a {type(source).__name__}: give a list of dicts, a dict of columns, a DataFrame, Arrow "
            "data or the path of a .parquet or .csv file"
        )


def tells_its_ids(source: object) -> bool:
    """Whether ids that a source brings itself are told again: not those of files and streams, which have no bounds."""
    is_stream = any(hasattr(source, face) for face in _ARROW_FACES) and not hasattr(source, "__len__")
    return not (is_stream or isinstance(source, str | PathLike))


def first_chunk(source: object) -> Chunk:
    """Return up to 10,000 rows from the beginning of a source.

    Raises:
        InvalidArgumentError: The source is empty, of no known kind, or an iterator (which would lose what is read).
    """
    if isinstance(source, Iterator):
        raise InvalidArgumentError("an iterator can be read only once: infer the schema from a list of its first rows")
    chunk = next(chunks(source, 10_000), None)
    if chunk is None or not len(chunk):
        raise InvalidArgumentError("the source has no rows")
    return chunk


def _time(value: object) -> object:
    """Return a value as a datetime, or as it is where it is no time: the service then names the row."""
    if value is None or isinstance(value, datetime):
        return value
    try:
        return as_datetime(value)  # type: ignore[arg-type]  # what is no time raises
    except (TypeError, ValueError, OverflowError):
        return value


def _of_rows(source: Iterable[Any], rows: int) -> Iterator[Chunk]:
    iterator = iter(source)
    while chunk := list(islice(iterator, rows)):
        if len(chunk) >= arrow_values.WORTHWHILE_ROWS:
            arrow_values.load()
        stranger = next((kind for kind in set(map(type, chunk)) if not issubclass(kind, Mapping)), None)
        if stranger is not None:
            raise InvalidArgumentError(f"rows are dicts, not {stranger.__name__}")
        yield RowChunk(columns_of(chunk))


def chunks_of_lists(source: Mapping[str, Any], rows: int) -> Iterator[Chunk]:
    """Yield a dict of columns in chunks of up to `rows` rows.

    Args:
        source: Name → list, or numpy, Arrow, pandas or polars column.
        rows: Most rows in a chunk.

    Raises:
        InvalidArgumentError: The columns differ in length.
    """
    plain = {name: _plain(values) for name, values in source.items()}
    lengths = {name: len(values) for name, values in plain.items()}
    if len(set(lengths.values())) > 1:
        raise InvalidArgumentError(f"columns have different lengths: {lengths}")
    count = max(lengths.values(), default=0)
    if count >= arrow_values.WORTHWHILE_ROWS:
        arrow_values.load()
    for start in range(0, count, rows):
        yield RowChunk({name: values[start : start + rows] for name, values in plain.items()})


def _plain(values: Any) -> Sequence[object]:
    """Return a column of any library as Python values."""
    if type(values).__module__ == "numpy" and values.dtype.kind == "M":
        values = values.astype("datetime64[us]")  # of nanoseconds numpy makes bare numbers
    for face in ("tolist", "to_pylist", "to_list"):
        if hasattr(values, face):
            listed: Sequence[object] = getattr(values, face)()
            return listed
    plain: Sequence[object] = values
    return plain
