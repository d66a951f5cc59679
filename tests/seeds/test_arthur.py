"""docs/coming-from/arthur.md runs as it stands and keeps what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg

import headrace
from support.documentation_page import DocumentationPage
from support.eventually import eventually


async def test_the_page(
    run: Callable[[str], Awaitable[DocumentationPage]], database: asyncpg.Connection, client: headrace.Client
) -> None:
    page = await run("arthur")
    names, (joined,) = page.names, page.rows
    sent, repeated, bad, truth = (names[name] for name in ("sent", "repeated", "bad", "truth"))
    assert (sent.stored, sent.labels.joined) == (3, 1)
    assert (repeated.stored, repeated.duplicate, repeated.labels.duplicate) == (0, 3, 1)
    assert (bad.stored, [(error.reason, error.column, error.rows) for error in bad.errors]) == (
        1,
        [("WRONG_TYPE", "income", [0])],
    )
    assert [(letter.reason, letter.column) for letter in names["waiting"]] == [("WRONG_TYPE", "income")]
    assert truth.joined == 1
    by_id = {row["event_id"]: row for row in joined}
    assert (by_id["c-1-2026-01-01"]["defaulted"], by_id["c-2-2026-01-01"]["defaulted"]) == (False, True)
    assert (by_id["c-2-2026-01-01"]["income"], by_id["c-3-2026-01-01"]["region"]) == (None, None)
    (asked,) = [row for event_id, row in by_id.items() if event_id.startswith("c-41-")]
    assert (asked["default_probability"], asked["defaulted"]) == (names["answered"], True)
    events, labels = page.answers
    assert (events["stored"], labels["joined"]) == (1, 1)
    assert await database.fetchval("SELECT defaulted FROM main.credit_risk_joined WHERE event_id = 'web-1'")
    reference = client.dataset("reference", model="credit_risk")
    assert (reference.rows, reference.is_baseline) == (3, True)
    model = client.model("credit_risk")

    def measured() -> bool:
        return sum(row["labelled"] for row in model.performance()) == 4  # web-1 among them

    def compared() -> bool:
        return {"income", "region"} <= {row["column_name"] for row in model.drift()}

    await asyncio.to_thread(eventually, measured, within_s=30.0)
    await asyncio.to_thread(eventually, compared, within_s=30.0)
    assert len(page.cells("Point by point")) == 14
