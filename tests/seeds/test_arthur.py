"""docs/coming-from/arthur.md runs as it stands and keeps what it says, point by point."""

from __future__ import annotations

import math
import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import headrace
from support.documentation_page import DocumentationPage, Query, point, post
from support.eventually import eventually
from support.kafka_topic import kafka_topic
from support.service import ServiceProcess

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def row(event_id: object, **cells: object) -> dict[str, object]:
    return {"event_id": event_id, "event_time": NEW_YEAR, "income": 1.0} | cells


@point("`send_inferences` of dicts, dict of lists, DataFrame")
def test_rows_columns_and_frames_are_the_same(page: DocumentationPage, beside: headrace.Model) -> None:
    assert (page.names["sent"].stored, page.names["sent"].labels.joined) == (3, 1)
    times = [NEW_YEAR.replace(tzinfo=None)] * 2  # without a zone, which is UTC
    columns = {"event_id": ["a", "b"], "event_time": times, "income": np.array([1.0, 2.0]), "defaulted": [True, False]}
    assert beside.publish(columns).labels.joined == 2
    for same in (pd.DataFrame(columns), pd.DataFrame(columns).to_dict(orient="records")):
        repeated = beside.publish(same)
        assert (repeated.duplicate, repeated.labels.duplicate) == (2, 2)
    elsewhere = row("c", event_time=NEW_YEAR.astimezone().isoformat())
    beside.publish([elsewhere])
    assert {event["event_time"] for event in beside.events()} == {NEW_YEAR}
    beside.publish([row("d", income=np.int64(3), region=np.str_("north")), row("e", income=np.float32(0.5))])
    assert (beside.event("d").values["income"], beside.event("d").values["region"]) == (3.0, "north")
    assert beside.event("e").values["income"] == 0.5


@point("HTTP 207: counts and a status a row")
def test_bad_rows_are_told_and_a_failed_call_raises(page: DocumentationPage) -> None:
    bad = page.names["bad"]
    errors = [(error.reason, error.column, error.rows) for error in bad.errors]
    assert (bad.rows, bad.stored, bad.rejected, errors) == (2, 1, 1, [("WRONG_TYPE", "income", [0])])
    assert [(letter.reason, letter.column) for letter in page.names["waiting"]] == [("WRONG_TYPE", "income")]
    with headrace.connect("localhost:1") as nowhere, pytest.raises(headrace.PublishTimeout) as failed:
        nowhere.model("credit_risk").publish([row("a")], timeout=0.1)
    assert failed.value.retryable


@point("The timestamp is filled in")
def test_a_time_that_is_left_out_is_now(beside: headrace.Model, client: headrace.Client, query: Query) -> None:
    before = datetime.now(UTC)
    beside.publish([{"event_id": "published", "income": 1.0}])
    beside.log({"income": 1.0}, event_id="logged")
    client.flush(timeout=30)
    stored = query(f"SELECT event_time, observed_time FROM main.{beside.name}")
    assert len(stored) == 2
    assert all(before <= each["event_time"] <= datetime.now(UTC) for each in stored)
    assert all(abs(each["observed_time"] - each["event_time"]) < timedelta(minutes=1) for each in stored)


@point("Partner inference id")
def test_an_id_is_the_callers_or_made_or_put_together(
    page: DocumentationPage, beside: headrace.Model, service: ServiceProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    (joined,) = page.rows
    by_id = {each["event_id"]: each for each in joined}
    (asked,) = [each for event_id, each in by_id.items() if event_id.startswith("c-41-")]  # and the day it ran
    assert (asked["default_probability"], asked["defaulted"]) == (page.names["answered"], True)
    with headrace.connect(service.grpc) as again:  # the page has closed its client
        monkeypatch.setitem(page.names, "model", again.model("credit_risk", version="v1"))
        page.names["predict"]("c-41", 62_000.0, "north")
        again.flush(timeout=30)
        assert (again.stats().stored, again.stats().duplicate) == (0, 1)  # of this day it is there
    assert beside.publish([row(42)]).event_ids == [42]
    assert beside.event("42").values["income"] == 1.0
    made = beside.publish([{"income": 7.0}]).event_ids
    assert [event["income"] for event in beside.events() if event["event_id"] == made[0]] == [7.0]


@point("Nulls")
def test_any_column_may_be_null_and_infinities_are_values(page: DocumentationPage, beside: headrace.Model) -> None:
    by_id = {each["event_id"]: each for each in page.rows[0]}
    assert (by_id["c-2-2026-01-01"]["income"], by_id["c-3-2026-01-01"]["region"]) == (None, None)
    beside.publish([row("null", branch=None, income=None), row("huge", income=math.inf), row("none", income=math.nan)])
    beside.publish(pd.DataFrame([row("frame", income=np.nan)]))
    income = {event["event_id"]: event["income"] for event in beside.events()}
    assert (income["null"], income["frame"], income["huge"]) == (None, None, math.inf)
    assert math.isnan(income["none"])


@point("Immutable, but for ground truth")
def test_what_was_sent_stays_and_ground_truth_keeps_its_history(beside: headrace.Model) -> None:
    beside.publish([row("a", defaulted=False)])
    assert beside.publish([row("a", income=2.0)]).conflict == 1
    refused = beside.publish([{"event_id": "a", "branch": "north"}], update=True)
    assert [(error.reason, error.column) for error in refused.errors] == [("IMMUTABLE_COLUMN", "branch")]
    beside.publish([{"event_id": "a", "defaulted": True}], update=True)
    event = beside.event("a")
    assert (event.values["income"], event.labels) == (1.0, {"defaulted": True})
    assert [revision["defaulted"] for revision in event.history] == [False, True]


@point("`update_inference_ground_truths`")
def test_each_label_has_its_verdict_and_its_own_time(page: DocumentationPage, beside: headrace.Model) -> None:
    assert page.names["truth"].joined == 1
    by_id = {each["event_id"]: each["defaulted"] for each in page.rows[0]}
    assert (by_id["c-1-2026-01-01"], by_id["c-2-2026-01-01"]) == (False, True)
    beside.publish([row("a")])
    labels = [{"event_id": "a", "defaulted": True}, {"event_id": "b", "defaulted": True}, {"event_id": "c"}]
    first, again = beside.publish(labels, update=True), beside.publish(labels[:2], update=True)
    assert (first.joined, first.parked_rows, [error.rows for error in first.errors]) == (1, [1], [[2]])
    assert again.duplicate == 2  # no label_time is made up, so that the same label is the same
    assert [revision["label_time"] for revision in beside.event("a").history] == [None]


@point("`send_bulk_inferences`, `…_ground_truths`")
def test_a_folder_of_files_is_published_file_by_file(beside: headrace.Model, tmp_path: Path) -> None:
    for part in range(3):
        events = pd.DataFrame([row(f"{part}-{number}") for number in range(10)])
        events.to_parquet(tmp_path / f"events-{part}.parquet")
        events[["event_id"]].assign(defaulted=part == 0).to_parquet(tmp_path / f"truth-{part}.parquet")
    for path in sorted(tmp_path.glob("events-*.parquet")):
        assert beside.publish(path).stored == 10
    for path in sorted(tmp_path.glob("truth-*.parquet")):
        assert beside.publish(path, update=True).joined == 10
    assert sum(event["defaulted"] for event in beside.events(has_label=True)) == 10


@point("`batch_id`, `close_batch` with a count")
def test_a_run_may_be_sent_again_and_a_dataset_has_its_count(page: DocumentationPage, beside: headrace.Model) -> None:
    repeated = page.names["repeated"]
    assert (repeated.stored, repeated.duplicate, repeated.labels.duplicate) == (0, 3, 1)
    job = beside.publish_dataset([row("a"), row("b")], name="reference", expected_rows=3)
    with pytest.raises(headrace.JobFailedError) as failed:
        job.wait(timeout=60)
    assert failed.value.reason == "DATASET_ROW_COUNT"
    with pytest.raises(headrace.JobFailedError) as failed:
        beside.publish_dataset([row("a"), row("b", income="high")], name="reference").wait(timeout=60)
    assert failed.value.reason == "DATASET_ROWS_REJECTED"
    assert beside.publish_dataset([row("a"), row("b")], name="reference").wait(timeout=60).progress_rows == 2


@point("A listener on a Kafka topic")
def test_the_listener_stores_each_message_once(
    page: DocumentationPage, model: headrace.Model, database_url: str
) -> None:
    with kafka_topic() as topic:
        program, *arguments = shlex.split(page.commands[0].replace("kafka:9092", topic.brokers))
        assert program == "headrace"
        command = [sys.executable, "-m", "headrace_server", *arguments]

        def stored() -> int:
            return sum(event["branch"] == "kafka" for event in model.events())

        alone = subprocess.run(
            command, env=_without_settings(), check=False, capture_output=True, text=True, timeout=60
        )
        assert (alone.returncode, "HEADRACE_DATABASE_URL" in alone.stderr) == (2, True), alone.stderr
        for times in (1, 2):  # the second goes on where the first has ended
            listener = subprocess.Popen(command, env=_without_settings() | {"HEADRACE_DATABASE_URL": database_url})
            try:
                topic.send([{"income": float(number), "branch": "kafka"} for number in range(20)])
                eventually(lambda: stored() >= 20 * times, within_s=60.0)  # noqa: B023 -- called at once
            finally:
                listener.terminate()
                assert listener.wait(timeout=30) == 0
        assert stored() == 40


def _without_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}


@point("Images")
def test_an_image_is_referred_to_or_comes_along(beside: headrace.Model, client: headrace.Client) -> None:
    there = headrace.Media(uri="s3://bucket/1.png", sha256="0" * 64, height=8, width=6)
    referred = beside.log({"income": 1.0}, media=there)
    inline = beside.log({"income": 1.0}, media=headrace.Media(data=b"\x89PNG", content_type="image/png"))
    client.flush(timeout=30)
    assert beside.event(referred).values["media_uri"] == "s3://bucket/1.png"
    assert beside.event(inline).values["media_bytes"] == b"\x89PNG"


@point("`query(body)`")
def test_events_are_selected_filtered_and_grouped(beside: headrace.Model, query: Query) -> None:
    beside.publish(
        [row(f"e{n}", income=float(n), region="north" if n % 2 else "south", tags=["web"]) for n in range(9)]
    )
    beside.publish([{"event_id": "e3", "defaulted": True}], update=True)
    selected = list(beside.events(NEW_YEAR, has_label=True, tag="web", columns=["income"]))
    assert selected == [{"event_id": "e3", "event_time": NEW_YEAR, "income": 3.0}]
    grouped = query(f"SELECT region, count(*), avg(income) FROM main.{beside.name} GROUP BY region ORDER BY region")
    assert [tuple(each) for each in grouped] == [("north", 4, 4.0), ("south", 5, 4.0)]


@point("Metrics, drift")
def test_performance_and_drift_follow(model: headrace.Model, client: headrace.Client) -> None:
    reference = client.dataset("reference", model="credit_risk")
    assert (reference.rows, reference.is_baseline) == (3, True)

    def measured() -> bool:
        return sum(each["labelled"] for each in model.performance()) == 4  # one of them came over HTTP

    def compared() -> bool:
        return {"income", "region"} <= {each["column_name"] for each in model.drift()}

    eventually(measured, within_s=30.0)
    eventually(compared, within_s=30.0)


@point("JSON API, other integrations")
def test_json_is_posted_once_per_key(page: DocumentationPage, service: ServiceProcess, query: Query) -> None:
    events, labels = page.answers
    assert (events["stored"], labels["joined"]) == (1, 1)
    assert query("SELECT defaulted FROM main.credit_risk_joined WHERE event_id = 'web-1'")[0][0] is True
    command = """curl http://localhost:8080/v1/models/credit_risk/events -H 'Content-Type: application/json' \\
      -d '[{"event_id": "timeless", "income": 30000}]'"""
    assert post(command.replace("localhost:8080", service.http))["rejected"] == 1
    (command,) = (block for block in page.text.split("```") if block.startswith("sh\ncurl") and "/events" in block)
    again = post(command.removeprefix("sh\n").replace("localhost:8080", service.http))
    assert (again["stored"], again["replayed"], events["replayed"]) == (1, True, False)
