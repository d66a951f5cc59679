"""docs/coming-from/truera.md runs as it stands and keeps what it says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from support.documentation_page import DocumentationPage


async def test_the_page(run: Callable[[str], Awaitable[DocumentationPage]]) -> None:
    page = await run("truera")
    names, (joined, segments, errors) = page.names, page.rows
    assert (names["batch"].stored, names["labels"].joined, names["labels"].parked) == (2, 2, 0)
    assert {row["event_id"]: (row["score"], row["approved"]) for row in joined} == {
        names["event_id"]: (0.71, True),
        "r-1": (0.4, False),
        "r-2": (0.9, True),
    }
    assert [(row["segment"], row["count"]) for row in segments] == [("new", 2), ("returning", 1)]
    assert [(row["model_version"], row["count"]) for row in errors] == [("forest", 2), ("logistic", 2)]
    assert errors[0]["error"] == pytest.approx(0.25)
    assert len(page.cells("Point by point")) == 9
