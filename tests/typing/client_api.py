"""The public API as a user writes it: checked by mypy, never run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any, assert_type

import pandas as pd

import headrace
import headrace.aio
from headrace import (
    BatchOutcome,
    Event,
    Events,
    HeadraceError,
    Model,
    ModelInfo,
    PublishResult,
    QuarantinedBatch,
    Schema,
    Stats,
    vision,
)


def callbacks(outcome: BatchOutcome) -> None:
    assert_type(outcome.errors[0].rows, list[int])
    assert_type(outcome.replayed, bool)


def on_error(error: HeadraceError) -> None:
    assert_type(error.reason, str)
    assert_type(error.retryable, bool)


def sync_face() -> None:
    settings = headrace.Settings(overflow=headrace.Overflow.DROP_OLDEST, linger_ms=50)
    with headrace.connect(
        "a:1,b:2",
        api_key="k",
        project="shop",
        tls=headrace.Tls(roots=b""),
        settings=settings,
        on_result=callbacks,
        on_error=on_error,
        on_drop=lambda reason, rows: reason.upper() * rows,
    ) as client:
        schema = Schema(features={"x": "float64", "v": "vector(3)"}, labels={"late": headrace.ValueType.BOOL})
        model = client.register(schema, name="m", version="v1", identity=headrace.Identity.APPEND)
        assert_type(model, Model)
        assert_type(client.model("m", version="v1"), Model)
        assert_type(client.get_model("m").info, ModelInfo | None)
        assert_type(client.list_models(), Iterator[ModelInfo])
        column = headrace.Column("y", headrace.ColumnKind.FEATURE, headrace.ValueType.STRING)
        assert_type(client.update_model("m", add=[column]), ModelInfo)
        client.update_model("m", task="ranking", add_classes=["a"], threshold=0.4)
        task = headrace.TaskType.REGRESSION
        Schema(predictions={"p": "float64"}, task=task, roles={"p": headrace.ColumnRole.PREDICTED_VALUE})

        event_id = model.log(features={"x": 1.0}, prediction=0.83, latency_ms=4.2, tags=["canary"])
        assert_type(event_id, str)
        model.log({"x": 1, "s": "t"}, event_time=datetime.now(UTC), predictions={"score": 0.5}, metadata={"k": [1]})
        model.log(event_time=date(2013, 1, 1))
        found = vision.Detection(classes=["cat", 2], boxes=[[1, 2, 3.5, 4]], scores=[0.5, 1])
        model.log(prediction=found, probabilities={"cat": 0.8}, media=headrace.Media(uri="s3://b/i.png", height=800))
        assert_type(model.log_label(event_id, late=True, label_time=1.5, source="desk"), None)

        result = model.publish([{"x": 1.0}], labels="late", timeout=5, on_progress=abs)
        assert_type(result, PublishResult)
        assert_type(result.labels, PublishResult | None)
        model.publish({"x": [1.0]}, event_id="x", features=["x"], predictions=("score",))
        model.publish([{"x": 1.0}], validate_only=True)
        assert_type(model.validate([{"x": 1.0}], labels="late"), PublishResult)
        model.publish("rows.parquet", update=True, timeout=headrace.Deadline(None))

        events = model.events(datetime.now(UTC), has_label=True, columns=["x"], limit=5)
        assert_type(events, Events)
        assert_type(events.to_list(), list[dict[str, Any]])
        assert_type(events.to_pandas(), pd.DataFrame)
        assert_type(model.event(event_id, as_of="2026-01-01"), Event)
        assert_type(model.events_by_id([event_id]), list[Event])
        assert_type(model.statistics().events.rows.exact, bool)
        assert_type(client.wait_until_queryable(result), None)

        assert_type(client.stats(), Stats)
        assert_type(client.stats().dropped_rows, int)
        assert_type(client.quarantined(), Sequence[QuarantinedBatch])
        try:
            client.flush(timeout=10)
        except headrace.FlushTimeout as error:
            assert_type(error.rows, int)
        except headrace.SessionFailedError as error:
            assert_type(error.cause, HeadraceError)
    assert_type(headrace.uuid7(), str)
    assert_type(headrace.composite_id("a", 1), str)
    assert_type(headrace.content_id({"x": 1.0}), str)


async def asyncio_face() -> None:
    async with headrace.aio.connect() as client:
        model = client.model("m")
        assert_type(model.log({"x": 1.0}), str)
        assert_type(model.log_label("e", late=True), None)
        assert_type(await model.publish([{"x": 1.0}]), PublishResult)
        assert_type(await model.validate([{"x": 1.0}]), PublishResult)
        assert_type([event async for event in model.events(limit=5)], list[dict[str, Any]])
        assert_type(await model.events().to_pandas(), pd.DataFrame)
        assert_type(await model.event("e"), Event)
        assert_type(await client.flush(5), None)
        assert_type([info async for info in client.list_models()], list[ModelInfo])
        assert_type((await client.get_model("m")).info, ModelInfo | None)


def misuse(client: headrace.Client, model: Model) -> None:
    """What a type checker must refuse; an unused ignore is an error, too."""
    model.log(featuers={})  # type: ignore[call-arg]
    model.log({1: 1.0})  # type: ignore[dict-item]
    model.log(latency_ms="fast")  # type: ignore[arg-type]
    model.publish([{}], timeout="5")  # type: ignore[arg-type]
    headrace.Settings(buffer_rows="many")  # type: ignore[arg-type]
    client.register({"x": "float64"}, name="m")  # type: ignore[arg-type]
