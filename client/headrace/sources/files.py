"""Parquet and CSV files as Arrow record batches, a part of the file in memory at a time.

A CSV column's type is told from the file's first megabyte. Where a later line does not keep to it (a fraction among
whole numbers, the first value of a column that was empty, a word among numbers), the rest of the file is read as texts
and typed part by part and, where that is needed, cell by cell: one odd cell is its own row's matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from headrace.errors import InvalidArgumentError

# pyarrow has no types, so its arrays and types are Any throughout.

Cells = Mapping[str, Sequence[object]]
_LADDER = (pa.int64(), pa.float64(), pa.bool_(), pa.timestamp("us", "UTC"), pa.timestamp("us"))


def batches(path: Path, rows: int) -> Iterator[Any | Cells]:
    """Yield the rows of a file, as record batches, or by column where cells of one column differ in type.

    Args:
        path: A .parquet, .pq, .csv or .csv.gz file.
        rows: Most rows in a batch; CSV comes in blocks of about a megabyte.

    Raises:
        InvalidArgumentError: The file is not there, of another kind, or damaged; rows before the damage were yielded.
    """
    if not path.is_file():
        raise InvalidArgumentError(f"there is no file {path}")
    name = path.name.lower()
    try:
        if name.endswith((".parquet", ".pq")):
            yield from _parquet(path, rows)
        elif name.endswith((".csv", ".csv.gz")):
            yield from _csv(path)
        else:
            raise InvalidArgumentError(f"cannot read {path.name}: a .parquet or .csv file is expected")
    except (pa.ArrowInvalid, OSError) as error:
        raise InvalidArgumentError(f"cannot read {path.name}: {error}") from error


def _parquet(path: Path, rows: int) -> Iterator[Any]:
    import pyarrow.parquet  # noqa: PLC0415 -- half of pyarrow's weight, needed for such files only

    with pyarrow.parquet.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=rows)


def _csv(path: Path) -> Iterator[Any | Cells]:
    import pyarrow.csv  # noqa: PLC0415 -- as above

    convert = pyarrow.csv.ConvertOptions(strings_can_be_null=True)
    done = 0
    with pyarrow.csv.open_csv(path, convert_options=convert) as reader:
        schema = reader.schema
        try:
            for batch in reader:
                yield batch
                done += batch.num_rows
            return
        except pa.ArrowInvalid as error:
            if "conversion error" not in str(error):
                raise
    convert.column_types = {name: pa.string() for name in schema.names}
    with pyarrow.csv.open_csv(path, convert_options=convert) as reader:
        for batch in reader:
            rest = batch.slice(min(done, batch.num_rows))
            done -= batch.num_rows - rest.num_rows
            if rest.num_rows:
                yield _typed(rest, schema.types)


def _typed(texts: Any, kinds: Sequence[Any]) -> Any | Cells:
    """Return a batch of texts in these types; where some cell does not fit its column's, as Python values."""
    arrays = [_cast(array, kind) for array, kind in zip(texts.columns, kinds, strict=True)]
    fitting = [array for array in arrays if array is not None]
    if len(fitting) == len(arrays):
        return pa.RecordBatch.from_arrays(fitting, names=texts.schema.names)
    return {
        name: [_cell(text, kind) for text in column.to_pylist()] if array is None else array.to_pylist()
        for name, column, array, kind in zip(texts.schema.names, texts.columns, arrays, kinds, strict=True)
    }


def _cast(texts: Any, kind: Any) -> Any | None:
    """Return texts as `kind`, whole numbers as fractions if need be; an empty column takes what its texts look like."""
    ladder = {pa.null(): (*_LADDER, pa.string()), pa.int64(): (kind, pa.float64())}.get(kind, (kind,))
    for wanted in ladder:
        with suppress(pa.ArrowInvalid):
            return texts.cast(wanted)
    return None


def _cell(text: str | None, kind: Any) -> object:
    """Return one text as `kind`, or as it is: the service then names the row."""
    with suppress(pa.ArrowInvalid):
        return pa.scalar(text, pa.string()).cast(pa.float64() if pa.types.is_integer(kind) else kind).as_py()
    return text
