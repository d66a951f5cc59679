"""Logged rows → tables.

In come the tuples that log() appends (their order is said here, once), out go RowTables of one model handle each, with
the names the wire uses: a feature called like a system column is sent as f_<name>. What comes late is in late_rows.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

from headrace.encoding.blocks import BLOCK_ROWS
from headrace.encoding.table import RefusedRow, RowTable
from headrace.logged.buffer import LoggedRow

SYSTEM_COLUMNS = frozenset(
    {
        *("event_id", "event_time", "observed_time", "model_version", "variant", "latency_ms", "source", "tags"),
        *("trace_id", "span_id", "metadata", "inclusion_probability", "label_time"),
        *("media_uri", "media_content_type", "media_height", "media_width", "media_sha256"),
    }
)
"""Columns every model has; their names mean the system's column."""

EVENT_NAMES = SYSTEM_COLUMNS | {"media_bytes"}
"""Columns that every event may have: those, and the one that a model gets with its first inline media."""

EVENT_FIELDS = (
    *("latency_ms", "variant", "source", "tags", "metadata", "trace_id", "span_id", "inclusion_probability"),
)  # after the handle, id, time, features, prediction, predictions and what has its name on the wire already
_EMPTY: Mapping[str, object] = {}


def wire_name(name: str) -> str:
    """Return the name a model's own column has on the wire."""
    return f"f_{name}" if name in SYSTEM_COLUMNS else name


def columns_of(rows: Sequence[Mapping[str, object]]) -> dict[str, Sequence[object]]:
    """Return mappings as columns, by key; a key that a row does not have is null there."""
    names = tuple(rows[0])
    if len(names) > 1 and set(map(len, rows)) == {len(names)}:
        try:  # the usual case: every row has the same keys
            return _turned(rows, names)
        except KeyError:
            pass
    return {name: [row.get(name) for row in rows] for name in dict.fromkeys(chain.from_iterable(rows))}


def _turned(rows: Sequence[Mapping[str, object]], names: Sequence[str]) -> dict[str, Sequence[object]]:
    """Return rows of the same keys as columns."""
    cells = itemgetter(*names)
    return dict(zip(names, transposed(rows, len(names), lambda block: map(cells, block)), strict=True))


def transposed(rows: Sequence[Any], width: int, cells_of: Callable[[Sequence[Any]], Iterable[Any]]) -> list[list[Any]]:
    """Return rows as columns, block by block: the first of ten thousand at once have left the cache by the end."""
    columns: list[list[Any]] = [[] for _ in range(width)]
    for start in range(0, len(rows), BLOCK_ROWS):
        for column, values in zip(columns, zip(*cells_of(rows[start : start + BLOCK_ROWS]), strict=True), strict=True):
            column.extend(values)
    return columns


def event_table(rows: Sequence[LoggedRow]) -> tuple[RowTable, list[RefusedRow]]:
    """Return rows of log() as a table, and those that name a column twice."""
    _, ids, micros, features, prediction, predictions, wired, *system = transposed(rows, len(rows[0]), iter)
    cells: dict[str, Sequence[object]] = {}
    clashes: dict[int, str] = {}
    for name, values in named_columns(features):
        put_column(cells, wire_name(name), values, clashes)
    for name, values in named_columns(predictions):
        put_column(cells, wire_name(name), values, clashes)
    if prediction.count(None) < len(rows):
        put_column(cells, "prediction", prediction, clashes)
    for name, values in named_columns(wired):
        put_column(cells, name, values, clashes)
    fields = zip(EVENT_FIELDS, system, strict=True)
    cells |= {name: values for name, values in fields if values.count(None) < len(rows)}
    return without_clashes(RowTable(range(len(rows)), ids, micros, cells), clashes)


def named_columns(mappings: Sequence[Mapping[str, object] | None]) -> Iterable[tuple[str, Sequence[object]]]:
    """Return mappings, of which some may be missing, as named columns."""
    if not any(mappings):
        return ()
    rows: Any = [_EMPTY if row is None else row for row in mappings] if None in mappings else mappings
    return columns_of(rows).items()


def put_column(
    cells: dict[str, Sequence[object]], name: str, values: Sequence[object], clashes: dict[int, str]
) -> None:
    """Add a column; where the name is taken, rows with one value keep it and rows with two are clashes."""
    if name not in cells:
        cells[name] = values
        return
    merged = []
    for row, (there, new) in enumerate(zip(cells[name], values, strict=True)):
        if there is not None and new is not None:
            clashes[row] = name
        merged.append(new if there is None else there)
    cells[name] = merged


def without_clashes(table: RowTable, clashes: Mapping[int, str]) -> tuple[RowTable, list[RefusedRow]]:
    """Return the table without its clashes, and these as refused rows."""
    if not clashes:
        return table, []
    refused = [
        RefusedRow(row, "COLUMN_REPEATED", name, f"{name} is given twice, as two kinds of column")
        for row, name in clashes.items()
    ]
    return table.take([row for row in range(len(table.source_rows)) if row not in clashes]), refused
