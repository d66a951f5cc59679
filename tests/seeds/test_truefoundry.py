"""docs/coming-from/truefoundry.md runs as it stands and keeps what it says, point by point."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from anyio.from_thread import BlockingPortal

import headrace
from support.documentation_page import DocumentationPage, point
from support.eventually import eventually
from support.service import ServiceProcess
from support.tcp_proxy import tcp_proxy

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
NOWHERE = "localhost:1"
ENDS_WITHOUT_CLOSE = """
import sys, headrace
headrace.connect(sys.argv[1]).model(sys.argv[2]).log({"feature1": 1.0}, event_id="at exit")
"""
FORKS = """
import os, sys, headrace
client = headrace.connect(sys.argv[1])
model = client.model(sys.argv[2])
model.log({"feature1": 1.0}, event_id="before")
child = os.fork()
model.log({"feature1": 1.0}, event_id="after, here" if child else "after, there")
client.close()
if child:
    os.waitpid(child, 0)
"""


@point("`log_predictions`")
def test_all_parts_of_a_prediction_packet_have_their_place(
    page: DocumentationPage, model: headrace.Model, client: headrace.Client
) -> None:
    packet = model.event(page.names["data_id"]).values
    assert (packet["feature1"], packet["feature2"], packet["value"]) == (3.33, "class1", "pred_class1")
    assert packet["probabilities"] == {"pred_class1": 0.2, "pred_class2": 0.8}
    assert packet["metadata"] == {"data": "any_data"}
    assert page.names["several"].stored == 2
    assert model.event("order-2").event_time == NEW_YEAR
    before = datetime.now(UTC)
    assert before - model.event(page.names["data_id"]).event_time < timedelta(minutes=5)  # occurred_at was now
    naive = model.log({"feature1": 1.0}, event_time=NEW_YEAR.replace(tzinfo=None))  # as utcnow() has it
    client.flush(timeout=30)
    assert model.event(naive).event_time == NEW_YEAR
    refused = model.validate([{"event_id": "a", "value": "pred_class3"}, {"event_id": "b", "probabilities": {"x": 1}}])
    assert [(error.reason, error.column) for error in refused.errors] == [
        ("UNKNOWN_CLASS", "value"),
        ("UNKNOWN_CLASS", "probabilities"),
    ]


@point("`shap_values`")
def test_shap_values_are_influences_with_revisions(
    page: DocumentationPage, beside: headrace.Model, client: headrace.Client
) -> None:
    (shap,) = page.names["shap_values"]
    assert (shap["feature1"], shap["feature2"], shap["output"]) == (0.23, 0.77, "value")
    event_id = beside.log({"feature1": 1.0}, prediction="pred_class1")
    client.flush(timeout=30)
    for weight in (0.1, 0.2):
        beside.log_influences(event_id, {"feature1": weight}, output="probabilities:pred_class1")
        client.flush(timeout=30)
    assert [each["feature1"] for each in beside.event(event_id).influences] == [0.1, 0.2]


@point("`actual_value` with the prediction")
def test_an_actual_may_come_with_its_prediction(page: DocumentationPage, model: headrace.Model) -> None:
    assert page.names["several"].labels.joined == 1
    assert model.event("order-1").labels == {"actual": "pred_class1"}


@point("`log_actuals` after the prediction")
def test_an_actual_comes_before_or_after_or_twice(page: DocumentationPage, beside: headrace.Model) -> None:
    (joined,) = page.rows
    by_id = {row["event_id"]: row for row in joined}
    logged = by_id[page.names["data_id"]]
    assert (logged["value"], logged["actual"]) == ("pred_class1", "pred_class2")
    assert json.loads(logged["metadata"]) == {"data": "any_data"}
    assert (page.names["early"].parked, by_id["order-17"]["actual"]) == (1, "pred_class1")
    assert by_id["order-2"]["actual"] is None  # optional
    beside.publish([{"event_id": "a", "event_time": NEW_YEAR}])
    for actual, verdict in (("pred_class1", "joined"), ("pred_class1", "duplicate"), ("pred_class2", "joined")):
        assert getattr(beside.publish([{"event_id": "a", "actual": actual}], update=True), verdict) == 1
    assert beside.event("a").labels == {"actual": "pred_class2"}


@point("`generate_hash_from_data`")
def test_an_id_of_content_is_the_same_wherever_it_is_made(page: DocumentationPage) -> None:
    assert headrace.content_id({"feature2": "class2", "features1": 1.22}) == page.names["plain_id"]
    assert page.names["plain_id"] != page.names["id_with_time"]
    assert headrace.content_id({"a": np.float64(1), "at": NEW_YEAR}) == headrace.content_id({"at": NEW_YEAR, "a": 1})
    assert headrace.content_id({"a": 1}) == headrace.content_id({"a": 1.0})
    with pytest.raises(headrace.InvalidArgumentError):
        headrace.content_id({"a": float("nan")})


@point("Background queue")
def test_a_full_buffer_does_what_it_was_told_and_the_rest_is_sent_when_the_service_is_back(
    page: DocumentationPage, beside: headrace.Model, service: ServiceProcess, portal: BlockingPortal
) -> None:
    assert (page.names["stats"].stored, page.names["stats"].dropped_rows) == (1, 0)
    host, _, port = service.grpc.rpartition(":")
    kept = {headrace.Overflow.DROP_NEWEST: range(10), headrace.Overflow.DROP_OLDEST: range(20, 30)}
    with portal.wrap_async_context_manager(tcp_proxy((host, int(port)))) as proxy:
        for overflow, numbers in kept.items():
            proxy.refuses = True  # the service is away
            settings = headrace.Settings(buffer_rows=10, overflow=overflow)
            with headrace.connect(f"127.0.0.1:{proxy.port}", settings=settings) as client:
                handle = client.model(beside.name, version=overflow.name)
                for number in range(30):
                    handle.log({"feature1": float(number)})
                stats = client.stats()
                assert (stats.logged, stats.unacked, stats.dropped) == (30, 10, {overflow.name: 20})
                proxy.refuses = False
                client.flush(timeout=60)
            events = beside.events(version=overflow.name)
            assert sorted(event["feature1"] for event in events) == list(map(float, numbers))
    raising = headrace.connect(NOWHERE, settings=headrace.Settings(buffer_rows=1, overflow=headrace.Overflow.RAISE))
    raising.model("animal classifier").log({"feature1": 1.0})
    with pytest.raises(headrace.BufferFullError):
        raising.model("animal classifier").log({"feature1": 2.0})
    with pytest.raises(headrace.UnackedError):
        raising.close(timeout=0.1)


@point("Lifecycle")
def test_close_delivers_and_what_is_logged_later_is_counted(service: ServiceProcess, beside: headrace.Model) -> None:
    client = headrace.connect(service.grpc)
    handle = client.model(beside.name)
    handle.log({"feature1": 1.0}, event_id="before", event_time=NEW_YEAR)
    client.close()
    handle.log({"feature1": 1.0}, event_id="after", event_time=NEW_YEAR)
    assert (client.stats().stored, client.stats().dropped) == (1, {"CLOSED": 1})
    assert [event["event_id"] for event in beside.events()] == ["before"]
    for script in (ENDS_WITHOUT_CLOSE, FORKS):
        subprocess.run([sys.executable, "-c", script, service.grpc, beside.name], check=True, timeout=60)
    assert {event["event_id"] for event in beside.events()} == {
        *("before", "at exit", "after, here", "after, there"),
    }
    strict = headrace.connect(service.grpc, settings=headrace.Settings(strict=True))
    strict.close()
    with pytest.raises(headrace.ClosedError):
        strict.model(beside.name).log({"feature1": 1.0})


@point("Model version on each packet")
def test_the_handles_version_is_stored_and_needs_no_enabling(
    page: DocumentationPage, client: headrace.Client, model: headrace.Model
) -> None:
    assert model.event(page.names["data_id"]).values["model_version"] == "v3"
    event_id = client.model("animal classifier", version="v4").log({"feature1": 1.0}, prediction="pred_class1")
    client.flush(timeout=30)
    assert [event["event_id"] for event in model.events(version="v4")] == [event_id]
    eventually(lambda: "v4" in {row["model_version"] for row in model.volume()}, within_s=30.0)


@point("Read back")
def test_labelled_events_are_read_by_time(page: DocumentationPage) -> None:
    labelled = {row["event_id"]: row["actual"] for row in page.names["rows"]}
    assert labelled == {page.names["data_id"]: "pred_class2", "order-1": "pred_class1", "order-17": "pred_class1"}
    assert list(page.names["frame"]["actual"]) == list(labelled.values())


@point("The monitoring dashboard")
def test_performance_and_volume_follow(model: headrace.Model) -> None:
    eventually(lambda: sum(row["labelled"] for row in model.performance()) == 3, within_s=30.0)
    eventually(lambda: sum(row["events"] for row in model.volume()) >= 5, within_s=30.0)
    assert model.drift() == []  # no baseline was named


@point("Asynchronous calls")
def test_the_asyncio_client_logs_too(page: DocumentationPage, model: headrace.Model) -> None:
    assert model.event(page.names["awaited_id"]).values["feature1"] == 4.0
