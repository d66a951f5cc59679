"""docs/coming-from/truefoundry.md runs as it stands and keeps what it says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import headrace
from support.documentation_page import DocumentationPage
from support.eventually import eventually


async def test_the_page(run: Callable[[str], Awaitable[DocumentationPage]], client: headrace.Client) -> None:
    page = await run("truefoundry")
    names, (joined,) = page.names, page.rows
    by_id = {row["event_id"]: row for row in joined}
    logged, early = by_id[names["data_id"]], by_id["order-17"]
    assert (logged["value"], logged["actual"]) == ("pred_class1", "pred_class2")
    assert json.loads(logged["metadata"]) == {"data": "any_data"}
    assert names["early"].parked == 1
    assert early["actual"] == "pred_class1"
    labelled = {row["event_id"]: row for row in names["rows"]}
    full = labelled[names["data_id"]]
    assert full["probabilities"] == {"pred_class1": 0.2, "pred_class2": 0.8}
    (shap,) = names["shap_values"]
    assert (shap["feature1"], shap["feature2"], shap["output"]) == (0.23, 0.77, "value")
    assert (full["feature1"], full["feature2"], full["model_version"]) == (3.33, "class1", "v3")
    assert len(labelled) == len(names["frame"]) == 2
    assert headrace.content_id({"feature2": "class2", "features1": 1.22}) == names["plain_id"] != names["id_with_time"]
    assert headrace.content_id({"a": 1}) == headrace.content_id({"a": 1.0})
    assert (names["stats"].stored, names["stats"].dropped_rows) == (1, 0)
    model = client.model("animal classifier")

    def measured() -> bool:
        return sum(row["labelled"] for row in model.performance()) == 2

    await asyncio.to_thread(eventually, measured, within_s=30.0)
    assert len(page.cells("Point by point")) == 11
