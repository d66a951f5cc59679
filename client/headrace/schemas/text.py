"""A schema as a table for people: what `print(schema)` and `headrace models show` tell of columns and task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.schemas.tasks import TaskType

if TYPE_CHECKING:
    from headrace.schemas.column import Column
    from headrace.schemas.schema import Schema

HEADINGS = ("column", "kind", "type", "role")
_SHOWN_CLASSES = 10


def describe(schema: Schema) -> str:
    """Return a line for the task, then one a column."""
    rows = [HEADINGS, *map(cells_of, schema.columns)]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([f"task: {task_of(schema)}", *lines])


def cells_of(column: Column) -> tuple[str, str, str, str]:
    """Return a column as a line of the table, under HEADINGS."""
    dimension = f"({column.dimension})" if column.dimension else ""
    role = column.role.name.lower() if column.role else ""
    return column.name, column.kind.name.lower(), column.type.name.lower() + dimension, role


def task_of(schema: Schema) -> str:
    """Return what the model is for, in a line."""
    more = f" … ({len(schema.classes)} in all)" if len(schema.classes) > _SHOWN_CLASSES else ""
    text = schema.task.name.lower() if schema.task else "none"
    if schema.classes:
        text += f"; classes: {', '.join(schema.classes[:_SHOWN_CLASSES])}{more}"
    if schema.positive_class:
        text += f"; positive: {schema.positive_class}"
    return text + (f"; threshold: {schema.threshold:g}" if schema.task is TaskType.BINARY_CLASSIFICATION else "")
