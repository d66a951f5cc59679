"""docs/coming-from/truera.md runs as it stands and keeps what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

import headrace
from support.documentation_page import DocumentationPage
from support.eventually import eventually


async def test_the_page(
    run: Callable[[str], Awaitable[DocumentationPage]], database: asyncpg.Connection, client: headrace.Client
) -> None:
    page = await run("truera")
    names, (joined, segments, influences, metrics, errors) = page.names, page.rows
    logged = names["event_id"]
    assert (names["batch"].stored, names["labels"].joined, names["labels"].parked) == (2, 2, 0)
    assert {row["event_id"]: (row["score"], row["approved"]) for row in joined} == {
        logged: (0.71, True),
        "r-1": (0.4, False),
        "r-2": (0.9, True),
    }
    assert [(row["segment"], row["count"]) for row in segments] == [("new", 2), ("returning", 1)]
    assert names["explained"].joined == 2
    assert {row["event_id"]: (row["age"], row["income"], row["base_value"]) for row in influences} == {
        logged: (0.11, 0.2, 0.4),
        "r-1": (-0.02, 0.03, None),
        "r-2": (0.25, 0.1, None),
    }
    assert [tuple(row) for row in metrics] == [("profit", 310.0, logged), ("visitors", 4800.0, None)]
    assert [(row["model"], row["count"]) for row in errors] == [("forest", 2), ("logistic", 2)]
    assert [row["error"] for row in errors] == pytest.approx([0.5, 0.25])
    completed = await database.fetch("SELECT age, income FROM main.loans_datasets_influences ORDER BY event_id")
    assert [tuple(row) for row in completed] == [(0.1, -0.1), (0.2, 0.3)]
    model = client.model("loans")

    def measured() -> bool:
        return sum(row["labelled"] for row in model.performance()) == 3

    def compared() -> bool:
        return {"age", "income", "score"} <= {row["column_name"] for row in model.drift()}

    await asyncio.to_thread(eventually, measured, within_s=60.0)
    await asyncio.to_thread(eventually, compared, within_s=60.0)
    assert len(page.cells("Point by point")) == 13
