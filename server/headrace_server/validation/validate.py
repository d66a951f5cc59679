"""The whole check of a batch: names, types, rules. Good rows go on as columns, bad ones get a verdict each.

In: decoded rows and what rows of their kind may look like. Out: the good rows as an Arrow table in the columns of
their hypertable, with each row's place in the batch, and the rejections. Promises: a bad row never takes a good one
with it, and nothing that PostgreSQL would refuse by type or encoding passes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace_server.decoding.decoded import Cells, DecodedRows
from headrace_server.models.schema import UnknownColumns
from headrace_server.validation.casting import as_mask, cast
from headrace_server.validation.metadata import METADATA, merge_metadata
from headrace_server.validation.rejections import Rejections
from headrace_server.validation.row_schema import Mask, Moment, RowSchema

_NONE = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class ValidatedRows:
    """What validation makes of a batch.

    Attributes:
        table: The good rows, by column of their table.
        places: For each good row its index in the batch.
        rejections: The bad rows.
        skipped: Index in the batch of each row that is good, but not in the model's sample.
    """

    table: pa.Table
    places: npt.NDArray[np.int64]
    rejections: Rejections
    skipped: npt.NDArray[np.int64]


def validate(rows: DecodedRows, schema: RowSchema, moment: Moment) -> ValidatedRows:
    """Check a batch's rows against what they may be."""
    rejections = Rejections(rows.row_count)
    columns: dict[str, pa.Array] = {}
    unknown: dict[str, Cells] = {}
    senders: dict[str, str] = {}
    for name, cells in rows.columns.items():
        if _is_void(cells):
            continue
        field = schema.fields.get(name)
        if field is None:
            unknown[name] = cells
            continue
        if field.sql_name in columns:
            twice = f"{senders[field.sql_name]!r} and {name!r} are the same column"
            rejections.add_all("COLUMN_REPEATED", name, twice)
            continue
        senders[field.sql_name] = name
        column = columns[field.sql_name] = cast(cells, field, name, rejections)
        if field.check is not None:
            field.check(column, name, rejections)
    _settle_unknown(unknown, schema, columns, rows.row_count, rejections)
    for rule in schema.rules:
        rule(columns, rows.row_count, moment, rejections)
    kept = schema.sampler(columns, rows.row_count, moment) if schema.sampler is not None else None
    return _keep_good(columns, rows.row_count, rejections, kept)


def unknown_columns(rows: DecodedRows, schema: RowSchema) -> dict[str, Cells]:
    """Columns with a value in them that the schema does not have: what a model that adds columns has to add."""
    return {
        name: cells
        for name, cells in rows.columns.items()
        if name not in schema.fields and name not in schema.refused and present(cells).any()
    }


def present(cells: Cells) -> Mask:
    """The rows in which a column has a value."""
    if isinstance(cells.values, pa.Array):
        return as_mask(cells.values.is_valid())
    return np.array([value is not None for value in cells.values], dtype=np.bool_)


def _is_void(cells: Cells) -> bool:
    """Whether the column has no value at all: then it is left out, and costs nothing however wide the model is."""
    return isinstance(cells.values, pa.Array) and cells.values.null_count == len(cells.values)


def _settle_unknown(
    unknown: Mapping[str, Cells],
    schema: RowSchema,
    columns: dict[str, pa.Array],
    row_count: int,
    rejections: Rejections,
) -> None:
    into_metadata: dict[str, Cells] = {}
    for name, cells in unknown.items():
        if name in schema.refused:
            reason, message = schema.refused[name]
            rejections.add(reason, name, present(cells), message)
        elif schema.unknown is UnknownColumns.METADATA and METADATA in schema.fields:
            into_metadata[name] = cells
        else:
            message = f"the model has no column {name!r}; add it with UpdateModel, or set unknown_columns"
            rejections.add(schema.unknown_reason, name, present(cells), message)
    if into_metadata:
        columns[METADATA] = merge_metadata(columns.get(METADATA), into_metadata, row_count, rejections)


def _keep_good(
    columns: Mapping[str, pa.Array], row_count: int, rejections: Rejections, kept: Mask | None
) -> ValidatedRows:
    names = list(columns)
    table = pa.table(list(columns.values()), names=names)
    if not rejections and kept is None:
        return ValidatedRows(table, np.arange(row_count), rejections, _NONE)
    good, skipped = ~rejections.mask(), _NONE
    if kept is not None:
        skipped = np.flatnonzero(good & ~kept)
        good &= kept
    return ValidatedRows(table.filter(pa.array(good)), np.flatnonzero(good), rejections, skipped)
