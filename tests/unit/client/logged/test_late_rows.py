"""Labels, influences, variants and metrics: what is logged and published of an event after it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

import headrace
from headrace.encoding.table import Header
from headrace.logged.late_rows import KINDS, Sheet, late_table
from headrace.testing import FakeService
from headrace.v1 import batch_pb2

T0 = datetime(2013, 1, 1, tzinfo=UTC)


def stored(service: FakeService, kind: str) -> list[dict[str, object]]:
    return service.ledger.stored(KINDS[kind], "m")


def table_of(kind: str, system: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    sheet = Sheet(Header(KINDS[kind], "m", ""))
    table, _ = late_table([(sheet, "e", None, "batch job", system, own)])
    return dict(table.cells)


def test_columns_of_the_model_give_way_to_the_system_columns_of_their_kind() -> None:
    labels = table_of("labels", {"label_time": None}, {"late": True, "source": "x"})
    assert (labels["source"], labels["f_source"], labels["late"]) == (["batch job"], ["x"], [True])
    influences = table_of("influences", {"output": "score", "base_value": 0.1}, {"output": 0.5, "age": 0.2})
    assert (influences["output"], influences["f_output"], influences["age"]) == (["score"], [0.5], [0.2])
    assert table_of("labels", {}, {"output": "x"})["output"] == ["x"]


def test_influences_with_their_event_go_after_it(service: FakeService, client: headrace.Client) -> None:
    event_id = client.model("m").log({"age": 3.0}, 0.5, event_time=T0, influences={"age": 0.25})
    client.flush()
    assert stored(service, "influences") == [{"event_id": event_id, "event_time": T0, "age": 0.25}]
    assert len(service.ledger.events("m")) == 1


def test_what_comes_late_of_several_kinds_shares_one_producer(service: FakeService, client: headrace.Client) -> None:
    model = client.model("m", version="v1")
    model.log_influences("a", {"age": 0.25}, output="score", base_value=0.1, source="shap")
    model.log_variant("a", "shadow-2", 0.7, latency_s=0.0035, model_version="v2", event_time=T0)
    model.log_variant("a", "shadow-3", predictions={"score": 0.7})
    model.log_metric("revenue", 12.5, event_id="a")
    model.log_label("a", late=True)
    client.flush()
    assert stored(service, "influences") == [
        {"event_id": "a", "age": 0.25, "output": "score", "base_value": 0.1, "source": "shap"}
    ]
    assert stored(service, "variants") == [
        {
            "event_id": "a",
            "event_time": T0,
            "variant": "shadow-2",
            "prediction": 0.7,
            "latency_ms": 3.5,
            "model_version": "v2",
        },
        {"event_id": "a", "variant": "shadow-3", "score": 0.7},
    ]
    assert stored(service, "metrics") == [{"event_id": "a", "name": "revenue", "value": 12.5}]
    assert stored(service, "labels") == [{"event_id": "a", "late": True}]
    assert len(service.ledger.producers) == 1
    stats = client.stats()
    assert (stats.logged, stats.stored, stats.parked) == (5, 5, 5)


def test_a_metric_about_no_event_is_about_now(service: FakeService, client: headrace.Client) -> None:
    model = client.model("m")
    model.log_metric("sessions", 3)
    model.log_metric("sessions", 4, metric_time=T0)
    client.flush()
    now, then = stored(service, "metrics")
    assert isinstance(now["metric_time"], datetime)
    assert abs(now["metric_time"] - datetime.now(UTC)) < timedelta(minutes=5)
    assert then == {"name": "sessions", "value": 4, "metric_time": T0}


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        ("labels", [{"event_id": "a", "late": True}, {"event_id": "b", "late": False}]),
        (
            "influences",
            [{"event_id": "a", "age": 0.5, "output": "score"}, {"event_id": "b", "age": 0.25, "output": "x"}],
        ),
        ("variants", [{"event_id": "a", "variant": "shadow", "score": 0.5, "latency_ms": 2.0}]),
        ("metrics", [{"name": "revenue", "value": 1.0, "metric_time": T0}]),
    ],
)
def test_every_late_kind_is_published_in_bulk(
    service: FakeService, client: headrace.Client, kind: str, rows: list[dict[str, Any]]
) -> None:
    result = client.model("m").publish(rows, kind=kind)
    assert (result.rows, result.stored) == (len(rows), len(rows))
    assert stored(service, kind) == rows
    again = client.model("m").publish(pa.Table.from_pylist([{**row, "source": "arrow"} for row in rows]), kind=kind)
    assert again.stored == len(rows)
    assert service.ledger.events("m") == []


def test_a_kind_that_there_is_not_and_features_of_a_late_kind_are_told_at_once(client: headrace.Client) -> None:
    model = client.model("m")
    with pytest.raises(headrace.InvalidArgumentError, match="influences"):
        model.publish([{"event_id": "a"}], kind="shap")
    with pytest.raises(headrace.InvalidArgumentError) as caught:
        model.publish([{"event_id": "a", "age": 1.0}], kind="variants", features=["age"])
    assert caught.value.reason == "IMMUTABLE_COLUMN"
    with pytest.raises(headrace.InvalidArgumentError, match="ids of their events"):
        model.publish([{"age": 1.0}], kind="influences")


def test_every_late_kind_of_the_contract_has_a_name() -> None:
    names = set(batch_pb2.RecordKind.keys()) - {"RECORD_KIND_UNSPECIFIED", "RECORD_KIND_EVENTS"}
    assert {f"RECORD_KIND_{name.upper()}" for name in KINDS} == names
