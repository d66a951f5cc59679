# ruff: noqa: PLC0415
"""Tables whose lines stay whole, whatever the terminal's width: ids and numbers are to be copied, and found by grep."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def print_lines(headings: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[str] = ()) -> None:
    """Print rows under headings.

    Args:
        headings: One a column.
        rows: Cells.
        numbers: Headings of the columns that stand to the right.
    """
    from rich import box
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for heading in headings:
        table.add_column(heading, no_wrap=True, justify="right" if heading in numbers else "left")
    for row in rows:
        table.add_row(*row)
    console: Any = Console()
    needed = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
    Console(width=max(console.width, needed)).print(table, markup=False)
