"""publish() answers for every row of a source, by its place in the source."""

from __future__ import annotations

import gc
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import headrace
from headrace import Schema
from headrace.testing import FakeService, Rejection, Status
from headrace.v1 import error_reason_pb2
from support.eventually import eventually

Connect = Callable[..., headrace.Client]
START = datetime(2013, 1, 1, tzinfo=UTC)


def flights(count: int) -> list[dict[str, Any]]:
    return [
        {"event_id": f"f{n}", "event_time": START + timedelta(minutes=n), "distance": float(n), "late": n % 3 == 0}
        for n in range(count)
    ]


def test_rows_with_ids_and_times_of_their_own(service: FakeService, client: headrace.Client) -> None:
    result = client.model("m").publish(flights(10))
    assert (result.rows, result.stored, result.labels) == (10, 10, None)
    assert service.ledger.events("m") == flights(10)


def test_rows_without_id_and_time_get_them_and_the_ids_come_back(service: FakeService, client: headrace.Client) -> None:
    result = client.model("m").publish([{"x": 1.0}, {"x": 2.0}])
    stored = service.ledger.events("m")
    assert [row["event_id"] for row in stored] == result.event_ids
    for row in stored:
        assert isinstance(row["event_time"], datetime)
        assert uuid.UUID(str(row["event_id"])).int >> 80 == int(row["event_time"].timestamp() * 1e6) // 1000


@pytest.mark.parametrize("form", [list, pd.DataFrame, pl.DataFrame, pa.Table.from_pylist])
def test_ids_of_the_sources_own_come_back_in_its_order(connect: Connect, form: Callable[..., Any]) -> None:
    rows = [{"id": f"f{n}", "distance": float(n)} for n in range(25)]
    result = connect(batch_rows=10).model("m").publish(form(rows), event_id="id")
    assert result.event_ids == [row["id"] for row in rows]


def test_ids_of_a_stream_are_told_only_where_they_were_made(client: headrace.Client) -> None:
    table = pa.table({"id": ["a", "b"], "x": [1.0, 2.0]})
    assert client.model("m").publish(table.to_reader(), event_id="id").event_ids == []
    assert len(set(client.model("m").publish(table.to_reader()).event_ids)) == 2


def test_a_result_keeps_the_ids_and_nothing_else_of_the_source(client: headrace.Client) -> None:
    before = pa.total_allocated_bytes()
    with pa.BufferOutputStream() as sink:
        rows = pa.table({"id": ["a", "b"] * 100, "x": [[0.5] * 1_000] * 200})
        with pa.ipc.new_stream(sink, rows.schema) as writer:
            writer.write_table(rows)
        table = pa.ipc.open_stream(sink.getvalue()).read_all()  # its columns share one buffer
    result = client.model("m").publish(table, event_id="id")
    del rows, table, writer, sink
    gc.collect()
    assert pa.total_allocated_bytes() - before < 100_000  # of 1.6 MB
    assert result.event_ids == ["a", "b"] * 100


def test_ids_of_a_file_are_told_only_where_they_were_made(client: headrace.Client, tmp_path: Path) -> None:
    pd.DataFrame({"id": ["a", "b"], "x": [1.0, 2.0]}).to_csv(tmp_path / "rows.csv", index=False)
    assert client.model("m").publish(tmp_path / "rows.csv", event_id="id").event_ids == []
    assert len(set(client.model("m").publish(tmp_path / "rows.csv").event_ids)) == 2


def test_ids_that_rows_of_a_later_chunk_do_not_have_are_none(connect: Connect) -> None:
    rows = [{"event_id": "a", "x": 1.0}] * 10 + [{"x": 2.0}] * 10
    assert connect(batch_rows=10).model("m").publish(rows).event_ids == ["a"] * 10 + [None] * 10


def test_ids_made_for_rows_with_times_carry_these(service: FakeService, client: headrace.Client) -> None:
    client.model("m").publish([{"at": 1_357_000_000.5, "x": 1.0}], event_time="at")
    (row,) = service.ledger.events("m")
    assert uuid.UUID(str(row["event_id"])).int >> 80 == 1_357_000_000_500


@pytest.mark.parametrize("at", [1_357_000_000, 1_357_000_000.0, "2013-01-01T00:26:40Z", "2013-01-01T00:26:40"])
def test_times_may_be_numbers_or_texts(service: FakeService, client: headrace.Client, at: object) -> None:
    client.model("m").publish([{"event_id": "a", "event_time": at}])
    assert service.ledger.events("m")[0]["event_time"] == datetime(2013, 1, 1, 0, 26, 40, tzinfo=UTC)


def test_a_time_that_is_none_goes_as_it_is_so_that_the_service_names_the_row(
    service: FakeService, client: headrace.Client
) -> None:
    client.model("m").publish([{"event_id": "a", "event_time": START}, {"event_id": "b", "event_time": "soon"}])
    assert [row["event_time"] for row in service.ledger.events("m")] == [START, "soon"]


def test_columns_may_have_any_names(service: FakeService, client: headrace.Client) -> None:
    rows = [{"key": 7, "at": START, "source": "x", "score": 0.5, "truth": True, "noise": 1}]
    client.model("m").publish(
        rows, event_id="key", event_time="at", features=["source"], predictions="score", labels="truth"
    )
    assert service.ledger.events("m") == [{"event_id": "7", "event_time": START, "f_source": "x", "score": 0.5}]
    assert service.ledger.labels("m") == [{"event_id": "7", "event_time": START, "truth": True}]


def test_system_columns_go_with_chosen_features(service: FakeService, client: headrace.Client) -> None:
    client.model("m").publish(
        [{"event_id": "a", "event_time": START, "x": 1.0, "latency_ms": 4.0, "noise": 1}], features=["x"]
    )
    assert service.ledger.events("m") == [{"event_id": "a", "event_time": START, "x": 1.0, "latency_ms": 4.0}]


def test_labels_follow_their_events_and_rows_without_a_label_have_none(
    service: FakeService, client: headrace.Client
) -> None:
    rows = flights(10)
    for n in (2, 5):
        rows[n]["late"] = None
    result = client.model("m").publish(rows, labels="late")
    assert result.labels is not None
    assert (result.stored, result.labels.rows, result.labels.joined) == (10, 8, 8)
    assert "late" not in service.ledger.events("m")[0]
    assert {row["event_id"] for row in service.ledger.labels("m")} == {f"f{n}" for n in range(10) if n not in {2, 5}}


def test_labels_are_known_from_the_registered_schema(service: FakeService, client: headrace.Client) -> None:
    schema = Schema(features={"distance": "float64"}, labels={"late": "bool"})
    model = client.register(schema, name="m", version="v1")
    result = model.publish(flights(3))
    assert result.labels is not None
    assert result.labels.joined == 3


def test_labels_in_bulk(service: FakeService, client: headrace.Client) -> None:
    model = client.model("m")
    model.publish([{"event_id": "a", "event_time": START, "x": 1.0}])
    result = model.publish([{"event_id": "a", "late": True}, {"event_id": "z", "late": False}], update=True)
    assert (result.rows, result.joined, result.parked, result.parked_rows) == (2, 1, 1, [1])
    again = model.publish([{"event_id": "a", "late": True}], update=True)
    assert (again.duplicate, again.duplicate_rows) == (1, [0])


def test_an_update_picks_the_labels_that_are_named(service: FakeService, client: headrace.Client) -> None:
    client.model("m").publish(
        [{"event_id": "a", "late": True, "x": 1.0, "source": "desk"}], update=True, labels=["late"]
    )
    assert service.ledger.labels("m") == [{"event_id": "a", "late": True, "source": "desk"}]


def test_an_update_of_features_is_refused(client: headrace.Client) -> None:
    with pytest.raises(headrace.InvalidArgumentError) as caught:
        client.model("m").publish(flights(1), update=True, features=["distance"])
    assert caught.value.reason == "IMMUTABLE_COLUMN"


def test_an_update_without_ids_is_refused(client: headrace.Client) -> None:
    with pytest.raises(headrace.InvalidArgumentError, match="event_id="):
        client.model("m").publish([{"late": True}], update=True)


def test_verdicts_name_rows_of_the_source_across_batches(service: FakeService, client: headrace.Client) -> None:
    service.behaviour.suggested_batch_rows = 7
    model = client.model("m")
    rows = flights(30)
    model.publish([rows[4], rows[20] | {"distance": -1.0}])
    bad = Rejection(error_reason_pb2.ERROR_REASON_VALUE_OUT_OF_RANGE, "distance", "too far")
    service.ledger.rules.append(lambda cells: bad if cells["event_id"] in {"f8", "f9", "f29"} else None)
    result = model.publish(rows)
    assert (result.rows, result.stored, result.rejected) == (30, 25, 3)
    assert (result.duplicate_rows, result.conflict_rows) == ([4], [20])
    (error,) = result.errors
    assert (error.reason, error.column, error.rows) == ("VALUE_OUT_OF_RANGE", "distance", [8, 9, 29])


def test_rows_of_other_types_are_sent_apart_and_rows_that_cannot_be_sent_are_named(
    service: FakeService, client: headrace.Client
) -> None:
    rows = flights(6)
    rows[2]["distance"] = "far"
    rows[4]["distance"] = object()
    result = client.model("m").publish(rows)
    assert (result.rows, result.stored, result.rejected) == (6, 5, 1)
    assert [(error.reason, error.column, error.rows) for error in result.errors] == [("UNENCODABLE", "distance", [4])]
    assert client.stats().dropped == {"UNENCODABLE": 1}
    assert client.stats().logged == 6


def test_large_sources_are_split_by_bytes(service: FakeService, client: headrace.Client) -> None:
    service.behaviour.max_batch_bytes = 2_000
    rows = [{"event_id": f"e{n}", "event_time": START, "text": "x" * 150} for n in range(100)]
    rows[50]["text"] = "x" * 3_000
    result = client.model("m").publish(rows)
    assert result.stored == 99
    assert [(error.reason, error.rows) for error in result.errors] == [("ROW_TOO_LARGE", [50])]
    assert [row["event_id"] for row in service.ledger.events("m")] == [f"e{n}" for n in range(100) if n != 50]


def test_sources_are_streamed_and_the_window_bounds_them(service: FakeService, connect: Connect) -> None:
    service.behaviour.suggested_batch_rows = 10
    service.hold_acks()
    client = connect(window_bytes=2_000)
    read = 0

    def rows() -> Any:
        nonlocal read
        for row in flights(10_000):
            read += 1
            yield row

    with pytest.raises(headrace.PublishTimeout) as caught:
        client.model("m").publish(rows(), timeout=0.3)
    assert read < 200
    assert client._events.session.window.bytes <= 2_000
    assert caught.value.rows == caught.value.result.rows > 0
    service.release_acks()
    client.flush(10)
    assert len(service.ledger.events("m")) == caught.value.rows == client.stats().logged


def test_a_timeout_while_the_service_is_away_says_so(service: FakeService, client: headrace.Client) -> None:
    service.stop()
    with pytest.raises(headrace.PublishTimeout, match="has not answered") as caught:
        client.model("m").publish(flights(1), timeout=0.1)
    assert caught.value.rows == 0


def test_a_publish_that_times_out_is_still_delivered(service: FakeService, client: headrace.Client) -> None:
    service.hold_acks()
    with pytest.raises(headrace.PublishTimeout) as caught:
        client.model("m").publish(flights(5), timeout=0.2)
    assert (caught.value.rows, caught.value.batches) == (5, 1)
    service.release_acks()
    client.flush(10)
    assert client.stats().stored == 5


def test_publish_survives_lost_acks_and_broken_streams(service: FakeService, client: headrace.Client) -> None:
    service.behaviour.suggested_batch_rows = 10
    turns = iter(range(1_000))
    unavailable = Status(grpc.StatusCode.UNAVAILABLE)
    service.behaviour.end_after = lambda _: unavailable if next(turns) % 4 == 1 else None
    rows = flights(100)
    rows[33] = rows[3]
    result = client.model("m").publish(rows, timeout=30)
    assert (result.stored, result.duplicate, result.duplicate_rows) == (99, 1, [33])
    assert len(service.ledger.events("m")) == 99


def test_rows_of_a_batch_that_was_set_aside_are_named(service: FakeService, client: headrace.Client) -> None:
    service.behaviour.suggested_batch_rows = 5
    refused = Status(grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_UNREADABLE")
    service.behaviour.end_on = lambda batch: refused if b"f7" in batch.SerializeToString() else None
    result = client.model("m").publish(flights(15), timeout=30)
    assert (result.rows, result.stored, result.quarantined) == (15, 10, 5)
    assert [(error.reason, error.rows) for error in result.errors] == [("MESSAGE_UNREADABLE", [5, 6, 7, 8, 9])]


def test_a_session_that_is_over_ends_the_publish(service: FakeService, client: headrace.Client) -> None:
    service.behaviour.end_on = lambda _: Status(grpc.StatusCode.ABORTED, "FENCED")
    with pytest.raises(headrace.SessionFailedError, match="FENCED") as caught:
        client.model("m").publish(flights(5), timeout=30)
    assert (caught.value.rows, caught.value.reason) == (5, "FENCED")


def test_progress_is_told_up_to_the_last_row(service: FakeService, client: headrace.Client) -> None:
    service.behaviour.suggested_batch_rows = 10
    told: list[int] = []
    client.model("m").publish(flights(35), on_progress=told.append)
    eventually(lambda: told[-1:] == [35])
    assert told == sorted(told)


def test_a_dict_of_lists_is_a_source(service: FakeService, client: headrace.Client) -> None:
    service.behaviour.suggested_batch_rows = 2
    client.model("m").publish({"event_id": ["a", "b", "c"], "event_time": [START] * 3, "x": (1, 2, 3)})
    assert [row["x"] for row in service.ledger.events("m")] == [1, 2, 3]


def test_an_empty_source_is_an_empty_result(client: headrace.Client) -> None:
    assert client.model("m").publish([]).rows == 0
    assert client.model("m").publish({}).rows == 0


@pytest.mark.parametrize(
    ("source", "arguments", "complaint"),
    [
        (7, {}, "int"),
        (["x"], {}, "dicts"),
        ({"a": [1], "b": []}, {}, "lengths"),
        ([{"a": 1}], {"event_id": "key"}, "'key'"),
        ([{"a": 1}], {"features": ["b"]}, "'b'"),
        ([{"a": 1}], {"labels": ["b"]}, "'b'"),
        ([{"a": 1}], {"nan": "zero"}, "zero"),
        ("flights.xlsx", {}, "flights.xlsx"),
        ("missing.parquet", {}, "missing.parquet"),
    ],
)
def test_what_cannot_be_published_is_refused_by_name(
    client: headrace.Client, source: object, arguments: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(headrace.InvalidArgumentError, match=complaint):
        client.model("m").publish(source, **arguments)


def test_a_deadline_can_be_expired_from_elsewhere(service: FakeService, client: headrace.Client) -> None:
    service.hold_acks()
    deadline = headrace.Deadline(None)
    with pytest.raises(headrace.PublishTimeout):
        client.model("m").publish(_then(flights(3), deadline.expire), timeout=deadline)


def _then(rows: list[dict[str, Any]], act: Callable[[], None]) -> Any:
    yield from rows
    act()


def test_rows_that_are_only_validated_are_counted_nowhere(service: FakeService, client: headrace.Client) -> None:
    result = client.model("m").validate([*flights(3), {"event_id": "bad", "x": object()}])
    assert (result.validate_only, result.rows, result.stored, result.rejected) == (True, 4, 3, 1)
    assert client.stats().logged == 0
    assert service.opens == []
    assert service.ledger.events("m") == []


def test_ids_of_the_source_s_own_are_told_as_those_that_are_made(client: headrace.Client) -> None:
    assert client.model("m").publish([{"event_id": "a", "x": 1.0}, {"event_id": "b", "x": 2.0}]).event_ids == ["a", "b"]
    assert client.model("m").publish({"key": ["c"], "x": [1.0]}, event_id="key").event_ids == ["c"]
