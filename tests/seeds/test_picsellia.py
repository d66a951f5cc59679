"""docs/coming-from/picsellia.md runs as it stands and keeps what it says."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import asyncpg

from support.documentation_page import DocumentationPage


async def test_the_page(run: Callable[[str], Awaitable[DocumentationPage]], database: asyncpg.Connection) -> None:
    page = await run("picsellia")
    names, (shadows, found, (latency,)) = page.names, page.rows
    event = names["event"]
    assert (names["monitored"].stored, names["monitored"].event_ids) == (1, [event["event_id"]])
    assert (names["same"].duplicate, names["other"].conflict) == (1, 1)
    assert [(row["variant"], row["latency_ms"]) for row in shadows] == [("yolo-4-rc", 301.0), ("yolo-4-tiny", 88.0)]
    assert json.loads(shadows[0]["champion"]) == {"classes": [2], "scores": [0.8]}
    assert {row["event_id"] for row in found} == {event["event_id"], names["event_id"]}
    truths = {row["event_id"]: row["truth"] for row in found}
    assert json.loads(truths[event["event_id"]]) == {"classes": [2]}
    stored = await database.fetchrow("SELECT * FROM main.parts_inspection WHERE event_id = $1", event["event_id"])
    assert (stored["media_height"], stored["media_width"], stored["sharpness"]) == (800, 600, 0.93)
    assert stored["media_sha256"] == event["media_sha256"]
    assert latency["count"] == 4
    assert len(page.cells("Point by point")) == 11
