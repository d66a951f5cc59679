"""docs/coming-from/truera.md runs as it stands and keeps what it says, point by point."""

from __future__ import annotations

import json
import urllib.request
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import headrace
from headrace.v1 import batch_pb2, ingest_service_pb2
from headrace.v1.ingest_service_pb2_grpc import IngestServiceStub
from support.documentation_page import DocumentationPage, Query, point
from support.eventually import eventually
from support.service import ServiceProcess

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def record(event_id: str, **cells: object) -> dict[str, object]:
    return {"event_id": event_id, "event_time": NEW_YEAR, "age": 41.0} | cells


@point("Data kinds")
def test_every_kind_of_data_is_there(page: DocumentationPage, model: headrace.Model) -> None:
    event = model.event(page.names["event_id"])
    kinds = {
        name: event.values[name] for name in ("age", "income", "embedding", "score", "segment", "order_value", "tags")
    }
    assert kinds == {
        "age": 41.0,
        "income": 52_000.0,
        "embedding": pytest.approx([0.1, 0.2, 0.3, 0.4]),
        "score": 0.71,
        "segment": "new",
        "order_value": 120.0,
        "tags": ["canary"],
    }
    assert event.labels == {"approved": True}
    assert [(each["age"], each["base_value"], each["source"]) for each in event.influences] == [(0.11, 0.4, "shap")]
    assert [(each["name"], each["value"]) for each in event.metrics] == [("profit", 310.0)]
    segments = page.rows[1]
    assert [(row["segment"], row["count"]) for row in segments] == [("new", 2), ("returning", 1)]


@point("Features after transformation")
def test_features_before_and_after_transformation_stand_side_by_side(client: headrace.Client) -> None:
    columns = {"income": "float64", "income_scaled": "float64", "region": "category", "region_is_north": "bool"}
    both = client.register(headrace.Schema(features=columns), name="transformed")
    row = {"income": 41_000.0, "income_scaled": 0.41, "region": "north", "region_is_north": True}
    both.publish([row | {"event_id": "a", "event_time": NEW_YEAR}])
    assert {name: both.event("a").values[name] for name in columns} == row


@point("Tags, tokens, embeddings, ranking ids")
def test_tokens_embeddings_and_ranking_ids_are_columns_that_are_checked(
    model: headrace.Model, client: headrace.Client
) -> None:
    assert [row["event_id"] for row in model.events(tag="canary")] == [
        row["event_id"] for row in model.events() if row["tags"]
    ]
    schema = headrace.Schema(
        features={"query_id": "string", "item_id": "string", "tokens": "string_list", "query_embedding": "vector(2)"},
        predictions={"position": "int64"},
        labels={"relevance": "float64"},
        task="ranking",
        roles={"query_id": "group_id", "position": "rank"},
    )
    ranking = client.register(schema, name="search ranking")
    good = {"query_id": "q1", "item_id": "i1", "tokens": ["red", "shoe"], "query_embedding": [0.5, 0.25], "position": 1}
    result = ranking.publish(
        [
            good | {"event_id": "a", "event_time": NEW_YEAR, "relevance": 3.0},
            good | {"event_id": "b", "event_time": NEW_YEAR, "query_id": None},
            good | {"event_id": "c", "event_time": NEW_YEAR, "query_embedding": [0.5]},
            good | {"event_id": "d", "event_time": NEW_YEAR, "position": 0},
        ]
    )
    assert {error.reason: error.rows for error in result.errors} == {
        "GROUP_ID_REQUIRED": [1],
        "VECTOR_DIMENSION": [2],
        "VALUE_OUT_OF_RANGE": [3],
    }
    assert {name: ranking.event("a").values[name] for name in good} == good
    assert ranking.event("a").labels == {"relevance": 3.0}


@point("The unique id joins kinds")
def test_kinds_that_come_apart_are_joined_by_the_id(page: DocumentationPage, beside: headrace.Model) -> None:
    joined, _, influences, metrics, _ = page.rows
    logged = page.names["event_id"]
    assert {row["event_id"]: (row["score"], row["approved"]) for row in joined} == {
        logged: (0.71, True),
        "r-1": (0.4, False),
        "r-2": (0.9, True),
    }
    assert page.names["explained"].joined == 2
    assert {row["event_id"]: (row["age"], row["income"], row["base_value"]) for row in influences} == {
        logged: (0.11, 0.2, 0.4),
        "r-1": (-0.02, 0.03, None),
        "r-2": (0.25, 0.1, None),
    }
    assert [tuple(row) for row in metrics] == [("profit", 310.0, logged), ("visitors", 4800.0, None)]
    beside.publish([{"event_id": "late", "age": 0.5}], kind="influences")
    beside.publish([{"event_id": "late", "approved": True}], update=True)
    beside.publish([record("late")])
    event = beside.event("late")
    assert (event.labels, [each["age"] for each in event.influences]) == ({"approved": True}, [0.5])
    for source in ("reviewer-1", "reviewer-2"):
        beside.publish([{"event_id": "late", "approved": False, "source": source}], update=True)
    assert [row["source"] for row in beside.event("late").history] == [None, "reviewer-1", "reviewer-2"]


@point("Model-agnostic records")
def test_records_without_a_model_are_completed_by_each(page: DocumentationPage, query: Query) -> None:
    errors = page.rows[4]
    assert [(row["model"], row["count"]) for row in errors] == [("forest", 2), ("logistic", 2)]
    assert [row["error"] for row in errors] == pytest.approx([0.5, 0.25])
    completed = query("SELECT age, income FROM main.loans_datasets_influences ORDER BY event_id")
    assert [tuple(row) for row in completed] == [(0.1, -0.1), (0.2, 0.3)]
    assert query("SELECT count(*) FROM main.train_2026_dataset")[0][0] == 2  # as it was, for the next model


@point("Pre-production and production")
def test_datasets_are_apart_and_one_is_the_baseline(
    model: headrace.Model, client: headrace.Client, query: Query
) -> None:
    (dataset,) = client.list_datasets(model="loans")
    assert (dataset.name, dataset.rows, dataset.is_baseline) == ("train-2026", 2, True)
    assert len(model.events().to_list()) == 3
    eventually(lambda: {"age", "income", "score"} <= {row["column_name"] for row in model.drift()}, within_s=60.0)
    assert {row["dataset"] for row in model.drift()} == {"train-2026"}
    nulls = "SELECT null_share FROM main.loans_profiles WHERE grain = 'DAY' AND column_name = 'order_value' ORDER BY 1"
    eventually(lambda: [row[0] for row in query(nulls)] == [0.0, 1.0], within_s=60.0)  # said by log() alone


@point("Periodic join")
def test_the_answer_says_whether_a_label_is_joined(
    page: DocumentationPage, beside: headrace.Model, model: headrace.Model
) -> None:
    assert (page.names["batch"].stored, page.names["labels"].joined, page.names["labels"].parked) == (2, 2, 0)
    assert beside.publish([{"event_id": "a", "approved": True}], update=True).parked == 1
    beside.publish([record("a")])
    assert [row["approved"] for row in beside.events(has_label=True)] == [True]
    eventually(lambda: sum(row["labelled"] for row in model.performance()) == 3, within_s=60.0)


@point("Data only, or data and model")
def test_influences_are_the_callers_and_may_come_with_the_event(
    beside: headrace.Model, client: headrace.Client
) -> None:
    explained = beside.log({"age": 41.0}, prediction=0.7, influences={"age": 0.2})
    silent = beside.log({"age": 41.0}, prediction=0.7)
    client.flush(timeout=30)
    assert [each["age"] for each in beside.event(explained).influences] == [0.2]
    assert beside.event(silent).influences == []  # nothing is computed here
    refused = beside.publish([{"event_id": explained, "segment": 0.1}], kind="influences")
    assert [error.reason for error in refused.errors] == ["UNKNOWN_FEATURE"]


@point("A gRPC service, all unary")
def test_a_single_call_publishes_a_batch_from_any_language(service: ServiceProcess, beside: headrace.Model) -> None:
    rows = batch_pb2.JsonRows(rows=json.dumps([record("a", event_time=NEW_YEAR.isoformat())]).encode())
    batch = batch_pb2.Batch(kind=batch_pb2.RECORD_KIND_EVENTS, model=beside.name, json=rows)
    request = ingest_service_pb2.PublishRequest(request_id=str(uuid4()), batch=batch)
    with grpc.insecure_channel(service.grpc) as channel:
        answers = [IngestServiceStub(channel).Publish(request, timeout=30) for _ in range(2)]
    assert [(each.result.stored, each.result.replayed) for each in answers] == [(1, False), (1, True)]
    assert len(beside.events().to_list()) == 1


@point("`Ping`")
def test_health_is_told_over_grpc_and_http(service: ServiceProcess) -> None:
    with grpc.insecure_channel(service.grpc) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    for path in ("healthz", "readyz"):
        with urllib.request.urlopen(f"http://{service.http}/{path}", timeout=30) as response:
            assert response.status == 200


@point("Errors by type, column and index")
def test_errors_are_grouped_and_take_no_good_row_with_them(beside: headrace.Model, client: headrace.Client) -> None:
    result = beside.publish(
        [
            record("good"),
            record("a", age="old"),
            record("b", wage=1.0),
            record("c", embedding=[1.0]),
            record("d", event_time=datetime.now(UTC) + timedelta(days=3_650)),
            record("e", age="older"),
            record("f", event_time="yesterday"),
            record("g", tags=["x" * 300]),
            {"event_id": "bare", "event_time": NEW_YEAR},
        ]
    )
    assert {(error.reason, error.column): error.rows for error in result.errors} == {
        ("WRONG_TYPE", "age"): [1, 5],
        ("UNKNOWN_COLUMN", "wage"): [2],
        ("VECTOR_DIMENSION", "embedding"): [3],
        ("EVENT_TIME_OUT_OF_RANGE", "event_time"): [4],
        ("WRONG_TYPE", "event_time"): [6],
        ("TEXT_TOO_LONG", "tags"): [7],
    }
    assert (result.stored, result.rejected) == (2, 7)
    assert [row["event_id"] for row in beside.events()] == ["bare", "good"]
    assert (beside.publish([record("good")]).duplicate, beside.publish([record("good", age=1.0)]).conflict) == (1, 1)
    letters = list(client.dead_letters.list(model=beside.name))
    assert sorted(letter.reason for letter in letters) == sorted(
        ["WRONG_TYPE"] * 3 + ["UNKNOWN_COLUMN", "VECTOR_DIMENSION", "EVENT_TIME_OUT_OF_RANGE", "TEXT_TOO_LONG"]
    )


@point("`IngestMetric`")
def test_metrics_are_of_an_event_or_of_a_time(beside: headrace.Model, client: headrace.Client, query: Query) -> None:
    beside.publish([record("a")])
    beside.log_metric("profit", 310.0, event_id="a")
    beside.log_metric("visitors", 4_800.0, metric_time=NEW_YEAR)
    client.flush(timeout=30)
    several = beside.publish(
        [{"event_id": "a", "name": name, "value": 1.0} for name in ("cost", "tax")], kind="metrics"
    )
    assert several.joined == 2
    stored = query(f"SELECT name, value, event_id, metric_time FROM main.{beside.name}_metrics ORDER BY name")
    assert [tuple(row) for row in stored] == [
        ("cost", 1.0, "a", None),
        ("profit", 310.0, "a", None),
        ("tax", 1.0, "a", None),
        ("visitors", 4_800.0, None, NEW_YEAR),
    ]


@point("`IngestGenerativeTrace`, `…Feedback`")
def test_a_generative_trace_is_an_event_and_feedback_its_label(client: headrace.Client) -> None:
    schema = headrace.Schema(
        features={"prompt": "string"}, predictions={"response": "string"}, labels={"feedback": "category"},
        task="text_generation",
    )  # fmt: skip
    assistant = client.register(schema, name="assistant", version="v1")
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    event_id = assistant.log({"prompt": "What is a headrace?"}, "A channel to a water wheel.", trace_id=trace_id)
    assistant.log_label(event_id, feedback="helpful", source="user-7")
    client.flush(timeout=30)
    event = assistant.event(event_id)
    assert (event.values["prompt"], event.values["response"], event.values["trace_id"]) == (
        "What is a headrace?",
        "A channel to a water wheel.",
        trace_id,
    )
    assert [(each["feedback"], each["source"]) for each in event.history] == [("helpful", "user-7")]
