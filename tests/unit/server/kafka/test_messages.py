"""Messages become batches that stand for every offset, whatever the topic leaves out."""

from __future__ import annotations

import json

import pytest

from headrace.v1 import batch_pb2
from headrace_server.kafka.messages import Message, Reading, Span, spans_of
from headrace_server.kafka.partition import producer_id

EVENTS, LABELS = batch_pb2.RECORD_KIND_EVENTS, batch_pb2.RECORD_KIND_LABELS


def reading(form="json", kind=EVENTS, max_rows=100, max_bytes=10_000):
    return Reading(form, kind, "flights", "v1", max_rows, max_bytes)


def message(offset, document):
    return Message(offset, document if isinstance(document, bytes | None) else json.dumps(document).encode(), 1_000)


def event(event_id):
    return {"event_id": event_id, "event_time": 1.0}


def shown(span: Span):
    rows = json.loads(span.batch.json.rows) if span.batch.WhichOneof("form") and not span.fault else []
    return span.next_offset, [row.get("event_id") for row in rows]


def test_consecutive_messages_are_one_batch_of_the_named_model():
    (span,) = spans_of("t/0", [message(0, event("a")), message(1, [event("b"), event("c")])], reading())
    assert shown(span) == (2, ["a", "b", "c"])
    assert (span.batch.kind, span.batch.model, span.batch.model_version) == (EVENTS, "flights", "v1")


def test_offsets_that_are_left_out_lie_within_the_span_behind_them():
    spans = spans_of("t/0", [message(3, event("a")), message(90, event("b"))], reading())
    assert list(map(shown, spans)) == [(91, ["a", "b"])]


def test_messages_without_rows_are_passed_over():
    spans = spans_of("t/0", [message(0, None), message(1, []), message(2, event("a")), message(3, None)], reading())
    assert list(map(shown, spans)) == [(4, ["a"])]
    (empty,) = spans_of("t/0", [message(7, None)], reading())
    assert (empty.next_offset, empty.batch) == (8, batch_pb2.Batch())
    assert list(spans_of("t/0", [], reading())) == []


def test_batches_are_sealed_at_their_bounds():
    messages = [message(number, event(f"e{number}")) for number in range(5)]
    assert [shown(span)[0] for span in spans_of("t/0", messages, reading(max_rows=2))] == [2, 4, 5]
    assert [shown(span)[0] for span in spans_of("t/0", messages, reading(max_bytes=1))] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("poison", [b"", b"{", b"7", b'["text"]', b"NaN", b"\xff", b'{"x": NaN}'])
def test_what_cannot_be_read_is_a_span_of_its_own(poison):
    spans = list(spans_of("t/0", [message(0, event("a")), message(1, poison), message(2, event("b"))], reading()))
    assert list(map(shown, spans)) == [(1, ["a"]), (2, []), (3, ["b"])]
    assert spans[1].fault.startswith("t/0/1: ")
    assert (spans[1].batch.json.rows, spans[1].batch.model) == (poison, "flights")


def test_an_event_takes_its_message_s_place_and_time_for_what_it_lacks():
    (span,) = spans_of("t/0", [message(4, {"x": 1}), message(5, [{"x": 2}, event("own")])], reading())
    rows = json.loads(span.batch.json.rows)
    assert [row["event_id"] for row in rows] == ["t/0/4", "t/0/5/0", "own"]
    assert [row["event_time"] for row in rows] == ["1970-01-01T00:00:01+00:00"] * 2 + [1.0]


def test_a_label_is_left_as_it_is():
    (span,) = spans_of("t/0", [message(0, {"late": True})], reading(kind=LABELS))
    assert json.loads(span.batch.json.rows) == [{"late": True}]


def test_each_serialized_batch_is_a_span_and_keeps_its_own_model():
    own = batch_pb2.Batch(kind=LABELS, model="other", json=batch_pb2.JsonRows(rows=b"[{}]"))
    none = batch_pb2.Batch(kind=EVENTS, json=batch_pb2.JsonRows(rows=b"[{}]"))
    messages = [message(0, own.SerializeToString()), message(1, None), message(5, none.SerializeToString())]
    spans = list(spans_of("t/0", messages, reading(form="batch")))
    assert [(span.next_offset, span.batch.model, span.fault) for span in spans] == [
        (1, "other", ""),
        (6, "flights", ""),
    ]


@pytest.mark.parametrize("poison", [b"\xff\xff", b"", b'{"event_id": "a"}'])
def test_what_is_no_batch_is_told_so(poison):
    (span,) = spans_of("t/0", [message(0, poison)], reading(form="batch"))
    assert "no headrace.v1.Batch" in span.fault


def test_a_partition_s_producer_is_the_same_everywhere_and_another_for_each_group():
    assert str(producer_id("cluster", "group", "topic", 3)) == str(producer_id("cluster", "group", "topic", 3))
    others = {producer_id("cluster", group, topic, number) for group in "ab" for topic in "ab" for number in (0, 1)}
    assert len(others) == 8
