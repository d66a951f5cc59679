"""The verdict on one cell: raised where it is found, and caught where the column's cells are judged one by one."""

import reprlib
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from headrace_server.validation.rejections import Rejections

Judged = TypeVar("Judged")

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60
_SHORT.maxlevel = 2


class CellError(Exception):
    """A cell that does not fit its column."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def shown(value: object) -> str:
    """The value as an example in a message: short, however large and deep it is."""
    text = repr(value[:60]) if isinstance(value, str | bytes) else _SHORT.repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def judge_each(
    values: Sequence[object], judge: Callable[[object], Judged], name: str, rejections: Rejections
) -> list[Judged | None]:
    """Judge a column's cells one by one.

    Args:
        values: The cells; None has no verdict.
        judge: Returns what becomes of a cell, or raises its CellError.
        name: The client's name for the column.
        rejections: Where rows of bad cells go.

    Returns:
        What became of each cell; None for bad ones.
    """
    good: list[Judged | None] = [None] * len(values)
    bad: dict[str, tuple[list[int], str]] = {}
    for row, value in enumerate(values):
        if value is None:
            continue
        try:
            good[row] = judge(value)
        except CellError as error:
            rows, _ = bad.setdefault(error.reason, ([], f"{name}: {error}"))
            rows.append(row)
    for reason, (rows, message) in bad.items():
        mask = np.zeros(len(values), dtype=np.bool_)
        mask[rows] = True
        rejections.add(reason, name, mask, message)
    return good
