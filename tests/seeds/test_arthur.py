"""docs/coming-from/arthur.md runs as it stands and keeps what it says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import asyncpg

from support.documentation_page import DocumentationPage


async def test_the_page(run: Callable[[str], Awaitable[DocumentationPage]], database: asyncpg.Connection) -> None:
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
    assert len(page.cells("Point by point")) == 13
