"""docs/coming-from/fiddler.md runs as it stands and keeps what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg

import headrace
from support.documentation_page import DocumentationPage
from support.eventually import eventually


def deleted(job: headrace.Job) -> dict[str, int]:
    """Rows that are gone, by table."""
    return {table: rows for table, rows in job.result["deleted"].items() if rows}


async def test_the_page(
    run: Callable[[str], Awaitable[DocumentationPage]], database: asyncpg.Connection, client: headrace.Client
) -> None:
    page = await run("fiddler")
    names, (joined, labels) = page.names, page.rows
    published, again, updated = names["published"], names["again"], names["updated"]
    ids = list(names["df"].event_id_col)
    assert [(error.reason, error.column) for error in names["verdicts"].errors] == [("WRONG_TYPE", "credit_score")]
    assert (published.rows, published.stored) == (4, 4)
    assert (again.stored, again.duplicate, again.conflict) == (0, 4, 0)
    assert (updated.joined, updated.parked) == (4, 0)
    assert names["event_id"] in {row["event_id"] for row in joined}
    assert {row["event_id"]: row["churned"] for row in joined}[ids[0]] is False
    assert [row["churned"] for row in labels if row["event_id"] == ids[0]] == [True, False]
    assert (names["one"].labels["churned"], [row["churned"] for row in names["one"].history]) == (False, [True, False])
    assert [(row["variant"], row["probability_churned"]) for row in names["corrected"]] == [("corrected", 0.31)]
    assert len(names["recent"]) == 4
    datasets = {dataset.name: dataset for dataset in client.list_datasets(model="bank_churn")}
    assert {name: (one.rows, one.is_baseline) for name, one in datasets.items()} == {
        "training-2026-01": (4, True),
        "test-2026-01": (2, False),
    }
    assert deleted(names["by_id"]) == {"bank_churn": 1, "bank_churn_variants": 1}
    assert deleted(names["by_time"]) == {"bank_churn": 1, "bank_churn_labels": 1}
    assert {row["event_id"] for row in await database.fetch("SELECT event_id FROM main.bank_churn")} == set(ids[:3])
    model = client.model("bank_churn")

    def measured() -> bool:
        return sum(row["labelled"] for row in model.performance()) == 3  # without the one that was deleted

    def compared() -> bool:
        return {"credit_score", "geography"} <= {row["column_name"] for row in model.drift()}

    await asyncio.to_thread(eventually, measured, within_s=30.0)
    await asyncio.to_thread(eventually, compared, within_s=30.0)
    assert len(page.cells("Point by point")) == 13
