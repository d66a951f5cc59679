"""docs/coming-from/picsellia.md runs as it stands and keeps what it says."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import asyncpg

import headrace
from support.documentation_page import DocumentationPage


async def test_the_page(
    run: Callable[[str], Awaitable[DocumentationPage]], database: asyncpg.Connection, client: headrace.Client
) -> None:
    page = await run("picsellia")
    names, (shadows, (latency,)) = page.names, page.rows
    event_id, predicted = names["event_id"], names["predicted"]
    model = client.model("parts inspection")
    assert model.event(names["small"]).values["media_bytes"] == b"what a camera saw"
    assert names["verdicts"].stored == 1
    first, *_ = names["verdicts"].event_ids  # made ids, in the order of the rows
    assert client.model("damage").event(first).values["boxes"]["classes"] == ["scratch"]
    assert {error.reason: error.rows for error in names["verdicts"].errors} == {
        "OBJECT_COUNT": [1],
        "UNKNOWN_CLASS": [2],
    }
    assert (names["other"].stored, names["other"].conflict) == (0, 1)
    assert [(row["variant"], row["latency_ms"]) for row in shadows] == [("yolo-4-rc", 301.0), ("yolo-4-tiny", 88.0)]
    assert json.loads(shadows[0]["champion"]) == {"classes": ["2"], "scores": [0.8]}
    assert [(row["name"], row["value"]) for row in predicted.metrics] == [("blur", 0.12)]
    assert {row["variant"]: row["model_version"] for row in predicted.variants} == {
        "yolo-4-rc": "yolo-4-rc",
        "yolo-4-tiny": "yolo-4-tiny",
    }
    assert predicted.labels["truth"] == {"classes": ["2"]}
    assert [row["event_id"] for row in names["night"]] == [event_id]
    assert names["statistics"].events.rows.rows == 2
    stored = await database.fetchrow("SELECT * FROM main.parts_inspection WHERE event_id = $1", event_id)
    assert (stored["media_height"], stored["media_width"], stored["sharpness"]) == (800, 600, 0.93)
    assert (stored["latency_ms"], stored["source"], stored["tags"]) == (257.0, "serving", ["line-4", "night"])
    assert latency["count"] == 2
    assert len(page.cells("Point by point")) == 12
