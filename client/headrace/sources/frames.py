"""DataFrames, Arrow data and files as chunks; needs pyarrow (the extra `headrace[frames]`), imported with first use.

Everything comes in as Arrow record batches: pandas by its own conversion, polars, DuckDB and all the rest through the
Arrow C stream interface, files by files.py, batch by batch. A column of a type that has a wire form goes
from Arrow's memory to the wire without Python values (arrow_columns.py); any other one as Python values.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.encoding.columns import add_column, add_micros_column
from headrace.encoding.kinds import NULL, common_kind, kind_of
from headrace.encoding.table import Table
from headrace.errors import InvalidArgumentError
from headrace.sources.source import TIME_COLUMNS, Chunk, Names, RowChunk, TypeOfValues, chunks_of_lists

try:
    import pyarrow as pa
    import pyarrow.compute as pc
except ImportError as error:
    raise InvalidArgumentError(
        "DataFrames, Arrow data and files need pyarrow: pip install 'headrace[frames]'"
    ) from error

from headrace.encoding import arrow_columns
from headrace.sources import files

if TYPE_CHECKING:
    from headrace.schemas.column import ValueType


def chunks(source: Any, rows: int, *, nan: str) -> Iterator[Chunk]:
    """Yield the source in chunks of up to `rows` rows; see sources.chunks.

    Raises:
        InvalidArgumentError: The file cannot be read, two columns have one name, or a type is none of Arrow's.
    """
    if isinstance(source, str | Path) or hasattr(source, "__fspath__"):
        yield from _sliced(files.batches(Path(source), rows), rows)
    elif type(source).__module__.partition(".")[0] == "pandas":
        yield from _pandas_chunks(source, rows, nan=nan)
    else:
        yield from _sliced(_stream(source), rows)


def _stream(source: Any) -> Any:
    """Return an Arrow source as a reader, whichever of the C interfaces it has."""
    try:
        if hasattr(source, "__arrow_c_stream__"):
            return pa.RecordBatchReader.from_stream(source)
        return [pa.record_batch(source)]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, TypeError) as error:  # a type that only its library knows
        raise InvalidArgumentError(f"cannot read a {type(source).__name__} through Arrow: {error}") from error


@dataclass(frozen=True, slots=True)
class ArrowTable:
    """Rows held by Arrow, with ids and times that were made here; see table.Table."""

    source_rows: Sequence[int]
    event_ids: Sequence[object]
    event_micros: Sequence[int] | None
    batch: Any
    """pyarrow.RecordBatch whose columns have their wire names."""

    def write(self, columns: Any) -> None:
        """Write every column."""
        if self.event_ids:
            add_column(columns, "event_id", self.event_ids)
        if self.event_micros is not None:
            add_micros_column(columns, "event_time", self.event_micros)
        for name, array in zip(self.batch.schema.names, self.batch.columns, strict=True):
            if not arrow_columns.add_array(columns, name, array):
                add_column(columns, name, array.to_pylist())

    def slice(self, start: int, stop: int) -> ArrowTable:
        """Return rows start … stop - 1."""
        return ArrowTable(
            self.source_rows[start:stop],
            self.event_ids[start:stop],
            self.event_micros[start:stop] if self.event_micros is not None else None,
            self.batch.slice(start, stop - start),
        )

    def take(self, indexes: Sequence[int]) -> ArrowTable:
        """Return the rows at `indexes`."""
        return ArrowTable(
            [self.source_rows[i] for i in indexes],
            [self.event_ids[i] for i in indexes] if self.event_ids else (),
            [self.event_micros[i] for i in indexes] if self.event_micros is not None else None,
            self.batch.take(pa.array(indexes, pa.int64())),
        )

    def minority(self, column: str) -> Sequence[int]:
        """Return indexes of the rows that do not share the kind most values of `column` have."""
        kinds = [kind_of(value) for value in self.batch.column(column).to_pylist()]
        most = Counter(kind for kind in kinds if kind != NULL).most_common(1)[0][0]
        return [index for index, kind in enumerate(kinds) if common_kind([kind, most]) is None]


class ArrowChunk:
    """Consecutive rows held by Arrow; see sources.Chunk."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    @property
    def names(self) -> Names:
        """Names of the columns."""
        return list(self._batch.schema.names)

    def __len__(self) -> int:
        return int(self._batch.num_rows)

    def ids(self, name: str) -> Any:
        """Return a column of ids, copied: a slice would keep the whole batch, whose columns may share their memory."""
        ids = self._batch.column(name)
        return pa.concat_arrays([ids, ids[:0]])

    def types(self, of_values: TypeOfValues) -> Mapping[str, tuple[ValueType, int] | str]:
        """Return the type of each column as Arrow declares it; of those without a wire form, by their values."""
        columns = zip(self._batch.schema.names, self._batch.columns, strict=True)
        return {name: arrow_columns.value_type(array) or of_values(array.to_pylist()) for name, array in columns}

    def millis(self, name: str) -> Sequence[int | None]:
        """Return a column of times in milliseconds since 1970."""
        times = arrow_columns.as_times(self._batch.column(name))
        if not pa.types.is_timestamp(times.type):
            return RowChunk({name: times.to_pylist()}).millis(name)
        millis: list[int | None] = times.cast(pa.timestamp("ms"), safe=False).cast(pa.int64()).to_pylist()
        return millis

    def rows_with_a_value(self, names: Names) -> Sequence[int]:
        """Return the rows in which one of these columns has a value."""
        found = pc.is_valid(self._batch.column(names[0]))
        for name in names[1:]:
            found = pc.or_(found, pc.is_valid(self._batch.column(name)))
        rows: list[int] = pc.indices_nonzero(found).to_pylist()
        return rows

    def table(
        self,
        source_rows: Sequence[int],
        columns: Mapping[str, str],
        *,
        event_ids: Sequence[object] = (),
        event_micros: Sequence[int] | None = None,
    ) -> Table:
        """Return these columns as a table; where some text is no time, of Python values, which part such rows."""
        arrays = [_as_key(self._batch.column(name), wire) for name, wire in columns.items()]
        times = [array for array, wire in zip(arrays, columns.values(), strict=True) if wire in TIME_COLUMNS]
        if any(map(arrow_columns.is_text, (array.type for array in times))):
            rows = RowChunk(self._batch.to_pydict())
            return rows.table(source_rows, columns, event_ids=event_ids, event_micros=event_micros)
        batch = pa.RecordBatch.from_arrays(arrays, names=list(columns.values()))
        return ArrowTable(source_rows, event_ids, event_micros, batch)


def _as_key(array: Any, wire: str) -> Any:
    """Return ids as texts and times as timestamps; other columns as they are."""
    if wire == "event_id":
        return arrow_columns.as_texts(array)
    return arrow_columns.as_times(array) if wire in TIME_COLUMNS else array


def _sliced(batches: Any, rows: int) -> Iterator[Chunk]:
    """Yield record batches, or rows by column, as chunks of up to `rows` rows."""
    for batch in batches:
        if isinstance(batch, Mapping):
            yield from chunks_of_lists(batch, rows)
            continue
        _check_names(batch.schema.names)
        plain = arrow_columns.without_views(batch)
        for start in range(0, plain.num_rows, rows):
            yield ArrowChunk(plain.slice(start, rows))


def _check_names(names: Names) -> None:
    """Refuse a source in which a name means two columns."""
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise InvalidArgumentError(f"the source has several columns called {', '.join(map(repr, twice))}")


def _pandas_chunks(frame: Any, rows: int, *, nan: str) -> Iterator[Chunk]:
    """Yield a pandas DataFrame slice by slice; its index is not data unless it is made a column."""
    _check_names(list(map(str, frame.columns)))
    for start in range(0, len(frame), rows):
        part = frame.iloc[start : start + rows]
        try:
            table = pa.Table.from_pandas(part, preserve_index=False)
        except (pa.ArrowException, TypeError):  # several types in a column, or one of pandas' own: value by value
            table = None
        if table is None or any(map(_by_value, table.schema.types)):
            yield RowChunk({str(name): [_none_for_nan(v, nan) for v in part[name].tolist()] for name in part.columns})
            continue
        if nan == "keep":
            for index, name in enumerate(part.columns):
                if part[name].dtype.kind == "f":
                    table = table.set_column(index, str(name), pa.array(part[name].to_numpy(), from_pandas=False))
        yield ArrowChunk(table.combine_chunks().to_batches()[0])


def _by_value(kind: Any) -> bool:
    """Return whether a pandas column of this type is read value by value.

    A struct has all keys of all dicts; an extension (a period) hides what its numbers mean.
    """
    return bool(pa.types.is_struct(kind) or isinstance(kind, pa.BaseExtensionType))


def _none_for_nan(value: Any, nan: str) -> Any:
    return None if nan == "null" and isinstance(value, float) and math.isnan(value) else value
