"""docs/coming-from/picsellia.md runs as it stands and keeps what it says, point by point."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from anyio.from_thread import BlockingPortal

import headrace
from headrace import vision
from support.documentation_page import DocumentationPage, Query, point
from support.service import ServiceProcess
from support.tcp_proxy import Cut, Direction, cut_once, tcp_proxy

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
SQUARE = [[0, 0], [0, 9], [9, 9]]
CAT = vision.Classification(classes=["cat"], scores=[0.8])


@point("`monitor`, one POST a prediction with its image")
def test_a_prediction_is_logged_with_what_is_known_of_its_image(
    page: DocumentationPage, model: headrace.Model, beside: headrace.Model
) -> None:
    stored = model.event(page.names["event_id"]).values
    assert stored["found"] == {"classes": ["2"], "scores": [0.8]}
    assert (stored["media_height"], stored["media_width"], stored["latency_ms"]) == (800, 600, 257.0)
    assert (stored["media_uri"], stored["media_content_type"]) == (page.names["image"].as_uri(), "image/png")
    rows = [{"event_id": f"e{n}", "event_time": NEW_YEAR, "found": CAT, "media_uri": f"s3://b/{n}"} for n in range(3)]
    assert beside.publish(rows).stored == 3


@point("Prediction formats, lengths checked")
@pytest.mark.parametrize(
    ("task", "good", "bad", "reason"),
    [
        ("image_classification", CAT, {"classes": ["cat"], "scores": [0.8, 0.1]}, "OBJECT_COUNT"),
        (
            "object_detection",
            vision.Detection(classes=["cat"], scores=[0.6], boxes=[[10, 20, 30, 40]]),
            {"classes": ["cat"], "boxes": [[10, 20, 30]]},
            "GEOMETRY_INVALID",
        ),
        (
            "segmentation",
            vision.Segmentation(classes=["cat", "dog"], masks=[[SQUARE], "s3://bucket/mask.png"]),
            {"classes": ["cat", "dog"], "masks": [[SQUARE]]},
            "OBJECT_COUNT",
        ),
        (
            "keypoint_detection",
            vision.Keypoints(classes=["cat"], keypoints=[[[1, 2], [3, 4, 1]]]),
            {"classes": ["cat"], "scores": [1.5], "keypoints": [[[1, 2]]]},
            "PROBABILITY_OUT_OF_RANGE",
        ),
        ("lines", vision.Lines(classes=["cat"], lines=[[[1, 2], [3, 4]]]), {"classes": ["cat"]}, "PAYLOAD_INVALID"),
        (
            "points",
            vision.Points(classes=["cat"], points=[[1, 2]]),
            {"classes": ["cow"], "points": [[1, 2]]},
            "UNKNOWN_CLASS",
        ),
    ],
)
def test_what_was_found_is_checked_against_the_models_task(
    client: headrace.Client, task: str, good: vision.Found, bad: dict[str, object], reason: str
) -> None:
    schema = headrace.Schema(
        predictions={"found": "json"},
        task="keypoint_detection" if task in {"lines", "points"} else task,
        classes=["cat", "dog"],
        roles={"found": task} if task in {"lines", "points"} else None,
    )
    finder = client.register(schema, name=f"finds {task}")
    result = finder.publish([{"event_id": "good", "found": good}, {"event_id": "bad", "found": bad}])
    assert [(error.reason, error.rows) for error in result.errors] == [(reason, [1])]
    (stored,) = finder.events()
    assert stored["found"] == json.loads(json.dumps(good.document()))


@point("Prediction formats, lengths checked")
def test_each_fault_is_told_and_the_good_row_is_stored(
    page: DocumentationPage, beside: headrace.Model, client: headrace.Client
) -> None:
    verdicts = page.names["verdicts"]
    errors = {error.reason: error.rows for error in verdicts.errors}
    assert (verdicts.stored, errors) == (1, {"OBJECT_COUNT": [1], "UNKNOWN_CLASS": [2]})
    first, *_ = verdicts.event_ids  # made ids, in the order of the rows
    assert client.model("damage").event(first).values["boxes"]["classes"] == ["scratch"]
    of_another_type = vision.Detection(classes=["cat"], boxes=[[1, 2, 3, 4]])
    bad = [{"found": of_another_type}, {"found": {"classes": [2]}}]  # and a class that is no text
    assert {error.reason: error.rows for error in beside.validate(bad).errors} == {"PAYLOAD_INVALID": [0, 1]}
    assert page.answers[0]["stored"] == 1
    assert client.model("damage").event("img-7").values["latency_ms"] == 257.0


@point("source, tags, timestamp, metadata")
def test_source_tags_time_and_metadata_are_stored(
    page: DocumentationPage, model: headrace.Model, beside: headrace.Model, client: headrace.Client
) -> None:
    event = model.event(page.names["event_id"])
    assert (event.values["source"], event.values["tags"]) == ("serving", ["line-4", "night"])
    assert (event.values["metadata"], event.event_time) == ({"camera": "c-7"}, page.names["moment"])
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    bare = beside.event(_logged(beside, client))
    assert before <= bare.event_time <= bare.values["observed_time"] + timedelta(seconds=1)
    assert not {"source", "tags", "metadata"} & bare.values.keys()
    of_seconds = beside.log(prediction=CAT, event_time=NEW_YEAR.timestamp())
    client.flush(timeout=30)
    assert beside.event(of_seconds).event_time == NEW_YEAR


@point("custom metrics")
def test_metrics_are_a_column_or_come_later(page: DocumentationPage, model: headrace.Model) -> None:
    event = model.event(page.names["event_id"])
    assert event.values["sharpness"] == 0.93
    assert [(row["name"], row["value"]) for row in event.metrics] == [("blur", 0.12)]


@point("Stored as Data, found by source")
def test_events_are_found_by_source_tag_and_image(page: DocumentationPage) -> None:
    event_id = page.names["event_id"]
    assert [row["event_id"] for row in page.names["night"]] == [event_id]
    assert [row["event_id"] for row in page.rows[2]] == [event_id]


@point("A shadow, once")
def test_shadows_are_any_number_and_may_be_revised(
    page: DocumentationPage, beside: headrace.Model, client: headrace.Client
) -> None:
    shadows, predicted = page.rows[0], page.names["predicted"]
    assert [(row["variant"], row["latency_ms"]) for row in shadows] == [("yolo-4-rc", 301.0), ("yolo-4-tiny", 88.0)]
    assert json.loads(shadows[0]["champion"]) == {"classes": ["2"], "scores": [0.8]}
    assert {row["model_version"] for row in predicted.variants} == {"yolo-4-rc", "yolo-4-tiny"}
    event_id = _logged(beside, client)
    for score in (0.4, 0.5):
        beside.log_variant(event_id, "shadow", vision.Classification(classes=["cat"], scores=[score]))
        client.flush(timeout=30)
    assert [row["found"]["scores"] for row in beside.event(event_id).variants] == [[0.4], [0.5]]


@point("`monitor_bytes`, `monitor_cloud_image`, `monitor_data`")
def test_small_images_come_along_and_others_are_found_by_their_uri(
    page: DocumentationPage, model: headrace.Model, beside: headrace.Model, client: headrace.Client
) -> None:
    assert model.event(page.names["small"]).values["media_bytes"] == b"what a camera saw"
    event_id = beside.log(prediction=CAT, media=headrace.Media(uri="s3://bucket/object-name.png"))
    beside.log_label(event_id, truth=vision.Classification(classes=["dog"]))  # known better later, and beside it
    client.flush(timeout=30)
    event = beside.event(event_id)
    assert event.values["media_uri"] == "s3://bucket/object-name.png"
    assert (event.values["found"]["classes"], event.labels["truth"]["classes"]) == (["cat"], ["dog"])


@point("`sample`")
def test_a_share_is_kept_with_its_probability(
    page: DocumentationPage, beside: headrace.Model, client: headrace.Client, query: Query
) -> None:
    model = client.model("parts inspection")
    assert model.event(page.names["kept"]).values["inclusion_probability"] == 1.0
    client.update_model(beside.name, sampling_rate=0.3)
    rows = [{"event_id": f"e{number}", "found": CAT} for number in range(1_000)]
    result = beside.publish(rows)
    assert result.stored + result.skipped == 1_000
    assert 200 < result.stored < 400
    kept = beside.events(columns=["inclusion_probability"]).to_list()
    assert {row["inclusion_probability"] for row in kept} == {0.3}
    assert sum(1 / row["inclusion_probability"] for row in kept) == pytest.approx(1_000, rel=0.2)
    before = client.stats().dropped.get("UNSAMPLED", 0)
    for _ in range(100):
        beside.log(prediction=CAT)
    client.flush(timeout=30)
    assert 40 < client.stats().dropped["UNSAMPLED"] - before < 100  # this client was told of the rate
    beside.log_metric("blur", 0.5, metric_time=NEW_YEAR)  # sample=False
    client.flush(timeout=30)
    assert query(f"SELECT name, value FROM main.{beside.name}_metrics") == [("blur", 0.5)]


@point("A duplicate is an error 409")
def test_a_duplicate_is_told_apart_from_a_conflict(
    page: DocumentationPage, model: headrace.Model, beside: headrace.Model
) -> None:
    assert (page.names["other"].stored, page.names["other"].conflict) == (0, 1)
    assert model.event(page.names["event_id"]).values["found"] == {"classes": ["2"], "scores": [0.8]}
    row = {"event_id": "a", "event_time": NEW_YEAR, "found": CAT}
    assert [beside.publish([row]).duplicate for _ in range(2)] == [0, 1]


@point("Retries of some failures only")
def test_a_batch_whose_answer_is_lost_is_sent_again_without_a_second_row(
    service: ServiceProcess, portal: BlockingPortal, beside: headrace.Model, query: Query
) -> None:
    host, _, port = service.grpc.rpartition(":")
    with portal.wrap_async_context_manager(tcp_proxy((host, int(port)))) as proxy:
        proxy.watch = cut_once(Direction.TO_SERVER, b"the-one", Cut.AFTER)
        with headrace.connect(f"127.0.0.1:{proxy.port}") as client:
            client.model(beside.name).log(prediction=CAT, event_id="the-one")
            client.flush(timeout=60)
            assert (client.stats().retried, client.stats().stored) == (1, 1)
    assert query(f"SELECT event_id FROM main.{beside.name}") == [("the-one",)]


@point("The deployment's model version")
def test_versions_share_a_table(
    page: DocumentationPage, model: headrace.Model, beside: headrace.Model, client: headrace.Client
) -> None:
    assert model.event(page.names["event_id"]).values["model_version"] == "yolo-3"
    _logged(beside, client)
    _logged(client.model(beside.name, version="yolo-4"), client)
    assert [row["model_version"] for row in beside.events()] == ["v1", "yolo-4"]


@point("Finding predictions, statistics")
def test_one_event_is_read_with_all_that_is_known(page: DocumentationPage, query: Query) -> None:
    predicted, statistics = page.names["predicted"], page.names["statistics"]
    assert predicted.labels["truth"] == {"classes": ["2"]}
    assert [row["source"] for row in predicted.history] == ["reviewer-1"]
    assert statistics.events.rows.rows == query("SELECT count(*) FROM main.parts_inspection")[0][0] == 3
    assert page.rows[1][0]["count"] == 3


def _logged(handle: headrace.Model, client: headrace.Client) -> str:
    event_id = handle.log(prediction=CAT)
    client.flush(timeout=30)
    return event_id
