"""docs/coming-from/fiddler.md runs as it stands and keeps what it says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import asyncpg

from support.documentation_page import DocumentationPage


async def test_the_page(run: Callable[[str], Awaitable[DocumentationPage]], database: asyncpg.Connection) -> None:
    page = await run("fiddler")
    names, (joined, labels) = page.names, page.rows
    published, again, updated = names["published"], names["again"], names["updated"]
    assert (published.rows, published.stored) == (4, 4)
    assert (again.stored, again.duplicate, again.conflict) == (0, 4, 0)
    assert (updated.joined, updated.parked) == (4, 0)
    assert await database.fetchval("SELECT count(*) FROM main.bank_churn") == 5
    assert names["event_id"] in {row["event_id"] for row in joined}
    first = names["df"].event_id_col[0]
    assert {row["event_id"]: row["churned"] for row in joined}[first] is False
    assert [row["churned"] for row in labels if row["event_id"] == first] == [True, False]
    loaded, verdicts = names["loaded"], names["verdicts"]
    assert (loaded.stored, loaded.labels.stored) == (4, 4)
    assert [(error.reason, error.column) for error in verdicts.errors] == [("WRONG_TYPE", "credit_score")]
    assert await database.fetchval("SELECT count(*) FROM main.bank_churn_training_2026_01") == 4
    assert (names["one"].labels["churned"], [row["churned"] for row in names["one"].history]) == (False, [True, False])
    assert len(names["recent"]) == 4
    assert len(page.cells("Point by point")) == 12
