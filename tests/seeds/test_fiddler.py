"""docs/coming-from/fiddler.md runs as it stands and keeps what it says, point by point."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

import headrace
from support.documentation_page import DocumentationPage, Query, point
from support.eventually import eventually
from support.service import ServiceProcess

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def rows(count: int) -> list[dict[str, object]]:
    return [
        {
            "event_id": f"e{row}",
            "event_time": NEW_YEAR + timedelta(seconds=row),
            "credit_score": 600 + row,
            "geography": "Texas",
            "probability_churned": 0.5,
        }
        for row in range(count)
    ]


@point("Publish pre-production")
def test_csv_frame_and_parquet_become_datasets(
    page: DocumentationPage, model: headrace.Model, client: headrace.Client, tmp_path: Path
) -> None:
    page.names["df"].drop(columns=["event_id_col", "timestamp_col"]).to_parquet(tmp_path / "validation.parquet")
    job = model.publish_dataset(tmp_path / "validation.parquet", name="validation", expected_rows=4).wait(timeout=60)
    assert (job.state, job.progress_rows) == (headrace.JobState.SUCCEEDED, 4)
    assert {each.name: (each.rows, each.is_baseline) for each in client.list_datasets(model="bank_churn")} == {
        "training-2026-01": (4, True),
        "test-2026-01": (2, False),
        "validation": (4, False),
    }


@point("Pre-production is immutable")
def test_a_dataset_never_changes_and_is_dropped_whole(
    page: DocumentationPage, beside: headrace.Model, client: headrace.Client, query: Query
) -> None:
    known = page.names["df"].assign(event_id=list("abcd"))[["event_id", "credit_score", "churned"]]
    for name in ("training", "test"):
        beside.publish_dataset(known, name=name).wait(timeout=60)
    with pytest.raises(headrace.ServiceError) as taken:
        beside.publish_dataset(known, name="training")
    with pytest.raises(headrace.JobFailedError) as changed:
        beside.complete_dataset(known.assign(churned=True), name="training").wait(timeout=60)
    beside.set_baseline("training")
    with pytest.raises(headrace.ServiceError) as in_use:
        client.drop_dataset("training", model=beside.name)
    client.drop_dataset("test", model=beside.name)
    beside.publish([{"event_id": "a", "churned": False}], update=True)  # of a production event, which is not there
    beside.delete_events(["a"], confirm=beside.name).wait(timeout=60)
    kept = query(f"SELECT event_id, label_churned FROM main.{beside.name}_datasets ORDER BY event_id")
    assert [tuple(row) for row in kept] == [("a", True), ("b", False), ("c", True), ("d", False)]
    assert (taken.value.reason, changed.value.reason) == ("DATASET_EXISTS", "DATASET_IMMUTABLE")
    assert in_use.value.reason == "DATASET_IS_BASELINE"
    assert [each.name for each in client.list_datasets(model=beside.name)] == ["training"]


@point("Publish events as a stream")
def test_events_that_are_acknowledged_are_committed(
    page: DocumentationPage, beside: headrace.Model, query: Query
) -> None:
    published = page.names["published"]
    assert (published.rows, published.stored) == (4, 4)
    assert page.names["event_id"] in {row["event_id"] for row in page.rows[0]}  # from log()
    result = beside.publish(rows(3))
    assert result.stored == query(f"SELECT count(*) FROM main.{beside.name}")[0][0] == 3


@point("Event ids")
def test_ids_are_the_callers_or_made_and_returned(
    page: DocumentationPage, beside: headrace.Model, tmp_path: Path
) -> None:
    assert page.names["published"].event_ids == list(page.names["df"].event_id_col)
    nameless = [{key: value for key, value in row.items() if key != "event_id"} for row in rows(3)]
    made = beside.publish(nameless).event_ids
    assert [beside.event(str(event_id)).values["credit_score"] for event_id in made] == [600, 601, 602]
    pd.DataFrame(rows(2)).to_csv(tmp_path / "dataset.csv", index=False)
    assert beside.publish(tmp_path / "dataset.csv").event_ids == []
    assert headrace.composite_id("c-1", NEW_YEAR.date()) == "c-1-2026-01-01"
    assert headrace.content_id({"a": 1, "b": 2}) == headrace.content_id({"b": 2.0, "a": 1})


@point("Timestamps")
def test_a_time_is_the_callers_or_now_and_the_receipt_is_kept_beside_it(
    page: DocumentationPage, beside: headrace.Model, query: Query
) -> None:
    given, timeless = rows(1)[0], {"event_id": "timeless", "credit_score": 1}
    before = datetime.now(UTC)
    beside.publish([given])
    beside.publish([timeless])
    times = {row["event_id"]: row for row in query(f"SELECT * FROM main.{beside.name}")}
    assert times["e0"]["event_time"] == NEW_YEAR
    assert times["timeless"]["event_time"] >= before
    assert all(before - timedelta(seconds=1) <= row["observed_time"] <= datetime.now(UTC) for row in times.values())


@point("Micro-batches")
def test_the_size_of_a_batch_is_a_setting(beside: headrace.Model, service: ServiceProcess) -> None:
    with headrace.connect(service.grpc, settings=headrace.Settings(batch_rows=1_000)) as client:
        assert client.model(beside.name).publish(rows(2_500)).stored == 2_500
        assert client.stats().batches >= 3
    with headrace.connect(service.grpc, settings=headrace.Settings(batch_bytes=20_000)) as client:
        assert client.model(beside.name).publish(rows(2_500)).duplicate == 2_500
        assert client.stats().batches >= 3


@point("Label update")
def test_labels_are_updated_in_any_order_and_predictions_are_corrected_beside(
    page: DocumentationPage, beside: headrace.Model
) -> None:
    updated, ids = page.names["updated"], list(page.names["df"].event_id_col)
    joined, revisions = page.rows
    assert (updated.joined, updated.parked) == (4, 0)
    assert {row["event_id"]: row["churned"] for row in joined}[ids[0]] is False
    assert [row["churned"] for row in revisions if row["event_id"] == ids[0]] == [True, False]
    assert [(row["variant"], row["probability_churned"]) for row in page.names["corrected"]] == [("corrected", 0.31)]
    assert beside.publish([{"event_id": "e0", "churned": True}], update=True).parked == 1
    beside.publish(rows(1))
    assert beside.event("e0").labels == {"churned": True}
    refused = beside.publish([{"event_id": "e0", "churned": True, "probability_churned": 0.9}], update=True)
    assert [(error.reason, error.column) for error in refused.errors] == [("IMMUTABLE_COLUMN", "probability_churned")]
    assert beside.event("e0").values["probability_churned"] == 0.5


@point("`publish_stream` and `publish_batch`")
def test_one_event_is_logged_and_many_are_published(beside: headrace.Model, client: headrace.Client) -> None:
    event_id = beside.log({"credit_score": 655}, prediction=0.37)
    client.flush(timeout=30)
    assert beside.publish(iter(rows(2))).stored == 2
    assert [row["event_id"] for row in beside.events()] == ["e0", "e1", event_id]


@point("Delete events")
def test_events_are_deleted_by_id_or_time_and_never_all_by_a_slip(
    page: DocumentationPage, beside: headrace.Model, query: Query
) -> None:
    def gone(job: headrace.Job) -> dict[str, int]:
        return {table: count for table, count in job.result["deleted"].items() if count}

    assert gone(page.names["by_id"]) == {"bank_churn": 1, "bank_churn_variants": 1}
    assert gone(page.names["by_time"]) == {"bank_churn": 1, "bank_churn_labels": 1}  # its end is not in it
    left = {row["event_id"] for row in query("SELECT event_id FROM main.bank_churn")}
    assert left == set(page.names["df"].event_id_col[:3])
    beside.publish(rows(3))
    name, tomorrow = beside.name, datetime.now(UTC) + timedelta(days=1)
    for slip in (
        {},
        {"start": NEW_YEAR},
        {"start": NEW_YEAR.replace(tzinfo=None), "end": tomorrow},
        {"event_ids": ["e0"], "start": NEW_YEAR, "end": tomorrow},
        {"event_ids": [f"e{number}" for number in range(10_001)]},
    ):
        with pytest.raises(headrace.InvalidArgumentError):
            beside.delete_events(**slip, confirm=name)
    reasons = []
    for end, confirm in ((tomorrow, name), (NEW_YEAR, name), (NEW_YEAR + timedelta(seconds=1), "another")):
        with pytest.raises(headrace.ServiceError) as refused:
            beside.delete_events(start=NEW_YEAR, end=end, confirm=confirm)
        reasons.append(refused.value.reason)
    assert reasons == ["DELETE_EVERYTHING", "TIME_RANGE_INVALID", "DELETE_NOT_CONFIRMED"]
    assert len(beside.events().to_list()) == 3


@point("Reading events")
def test_events_are_read_by_time_and_by_id(page: DocumentationPage) -> None:
    one = page.names["one"]
    assert len(page.names["recent"]) == 4
    assert (one.labels["churned"], [row["churned"] for row in one.history]) == (False, [True, False])


@point("Performance, drift")
def test_performance_and_drift_follow(model: headrace.Model) -> None:
    def measured() -> bool:
        return sum(row["labelled"] for row in model.performance()) == 3  # without the one that was deleted

    def compared() -> bool:
        return {"credit_score", "geography"} <= {row["column_name"] for row in model.drift()}

    eventually(measured, within_s=30.0)
    eventually(compared, within_s=30.0)
    assert sum(row["events"] for row in model.volume("hour")) == 3


@point("Safe to retry")
def test_a_row_that_is_sent_again_is_a_duplicate_and_one_that_differs_a_conflict(
    page: DocumentationPage, beside: headrace.Model, tmp_path: Path
) -> None:
    again = page.names["again"]
    assert (again.stored, again.duplicate, again.conflict) == (0, 4, 0)
    beside.publish(rows(4))
    pd.DataFrame(rows(4)).to_csv(tmp_path / "dataset.csv", index=False)
    repeated = beside.publish(tmp_path / "dataset.csv")
    assert (repeated.stored, repeated.duplicate) == (0, 4)
    other = beside.publish([rows(1)[0] | {"credit_score": 1}])
    assert (other.stored, other.conflict_rows) == (0, [0])
    assert beside.event("e0").values["credit_score"] == 600
    timeless = {"event_id": "timeless", "credit_score": 1}  # so each is another moment's
    assert [beside.publish([timeless]).stored for _ in range(2)] == [1, 1]


@point("Schema first")
def test_rows_are_checked_against_the_schema_and_may_be_asked_about_first(
    page: DocumentationPage, beside: headrace.Model, client: headrace.Client, query: Query
) -> None:
    unknown = client.model("nobody").publish(rows(1))  # a server infers schemas only when it is told so
    assert [error.reason for error in unknown.errors] == ["UNKNOWN_MODEL"]
    assert [(error.reason, error.column) for error in page.names["verdicts"].errors] == [("WRONG_TYPE", "credit_score")]
    verdicts = beside.validate([*rows(1), {"event_id": "e1", "event_time": NEW_YEAR, "credit": 612}])
    assert [(error.reason, error.column, error.rows) for error in verdicts.errors] == [
        ("UNKNOWN_COLUMN", "credit", [1])
    ]
    assert verdicts.stored == 1
    assert query(f"SELECT count(*) FROM main.{beside.name}")[0][0] == 0
    assert query(f"SELECT count(*) FROM headrace.dead_letters WHERE model = '{beside.name}'")[0][0] == 0
