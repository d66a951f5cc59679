"""Keeps docs/performance.md true: what a whole run has measured goes between two marks of the page."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- measured by make bench: begin -->", "<!-- measured by make bench: end -->"


def renewed(page: str, measured: str) -> str:
    """Return the page with `measured` between its marks.

    Raises:
        ValueError: The marks are not there, or not in this order.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks {BEGIN!r} … {END!r}")
    return f"{before}{BEGIN}\n\n{measured.strip()}\n\n{END}{after}"
