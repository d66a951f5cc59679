"""The fake service keeps the protocol; spoken to with the stubs alone."""

from __future__ import annotations

import queue
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest

from headrace.testing import FakeService, Rejection, Status
from headrace.v1 import (
    batch_pb2,
    error_reason_pb2,
    ingest_service_pb2,
    ingest_service_pb2_grpc,
    model_pb2,
    model_service_pb2,
    model_service_pb2_grpc,
)


class Conversation:
    """One stream, request by request."""

    def __init__(self, stub: ingest_service_pb2_grpc.IngestServiceStub, producer_id: str) -> None:
        self._requests: queue.Queue[ingest_service_pb2.IngestRequest | None] = queue.Queue()
        self.producer_id = producer_id
        self.call = stub.Ingest(iter(self._requests.get, None), timeout=20)

    def open(self, *, results_through: int = 0) -> ingest_service_pb2.Opened:
        self.send(open=ingest_service_pb2.Open(producer_id=self.producer_id, results_through=results_through))
        return next(self.call).opened

    def send(self, **message: object) -> None:
        self._requests.put(ingest_service_pb2.IngestRequest(**message))  # type: ignore[arg-type]

    def ack_of(self, batch: batch_pb2.Batch) -> ingest_service_pb2.Ack:
        self.send(batch=batch)
        return next(self.call).ack

    def half_close(self) -> None:
        self._requests.put(None)

    def failure(self) -> tuple[grpc.StatusCode, str | None]:
        with pytest.raises(grpc.RpcError) as caught:
            list(self.call)
        self.half_close()
        return caught.value.code(), caught.value.details()


@pytest.fixture
def service() -> Iterator[FakeService]:
    with FakeService() as running:
        yield running


@contextmanager
def talk(service: FakeService, producer_id: str | None = None) -> Iterator[Conversation]:
    with grpc.insecure_channel(service.address) as channel:
        stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
        conversation = Conversation(stub, producer_id or str(uuid.uuid4()))
        yield conversation
        conversation.half_close()


def events(seq: int, *event_ids: str, model: str = "m", **cells: float) -> batch_pb2.Batch:
    rows = [
        batch_pb2.Row(event_id=i, values={name: batch_pb2.Value(float64_value=cell) for name, cell in cells.items()})
        for i in event_ids
    ]
    kind = batch_pb2.RECORD_KIND_EVENTS
    return batch_pb2.Batch(seq=seq, kind=kind, model=model, rows=batch_pb2.RowBatch(rows=rows))


def test_a_whole_batch_is_acked_without_a_result_and_its_rows_are_in_the_ledger(service: FakeService) -> None:
    with talk(service) as stream:
        assert stream.open().last_committed_seq == 0
        ack = stream.ack_of(events(1, "a", "b", x=1.5))
    assert (ack.through_seq, len(ack.results)) == (1, 0)
    assert service.ledger.events("m") == [{"event_id": "a", "x": 1.5}, {"event_id": "b", "x": 1.5}]


def test_a_batch_sent_again_is_replayed_with_its_first_result_and_adds_no_row(service: FakeService) -> None:
    with talk(service) as stream:
        stream.open()
        stream.ack_of(events(1, "a", "a"))
        again = stream.ack_of(events(1, "a", "a"))
    assert again.results[0].replayed
    assert (again.results[0].stored, again.results[0].duplicate) == (1, 1)
    assert len(service.ledger.events("m")) == 1


def test_a_result_that_the_client_has_is_forgotten(service: FakeService) -> None:
    with talk(service) as stream:
        stream.open()
        stream.ack_of(events(1, "a", "a"))
    with talk(service, stream.producer_id) as second:
        assert second.open(results_through=1).last_committed_seq == 1
        assert second.ack_of(events(1, "a", "a")).results[0].result_expired


def test_a_gap_names_the_expected_seq(service: FakeService) -> None:
    with talk(service) as stream:
        stream.open()
        stream.send(batch=events(3, "a"))
        assert stream.failure() == (grpc.StatusCode.OUT_OF_RANGE, "SEQ_GAP")


def test_a_newer_session_fences_the_older(service: FakeService) -> None:
    with talk(service) as older, talk(service, older.producer_id) as newer:
        assert older.open().epoch == 1
        assert newer.open().epoch == 2
        older.send(batch=events(1, "a"))
        assert older.failure() == (grpc.StatusCode.ABORTED, "FENCED")
        assert newer.ack_of(events(1, "a")).through_seq == 1


def test_a_batch_before_open_is_refused(service: FakeService) -> None:
    with talk(service) as stream:
        stream.send(batch=events(1, "a"))
        assert stream.failure() == (grpc.StatusCode.INVALID_ARGUMENT, "OPEN_EXPECTED")


def test_a_ledger_that_lags_behind_the_client_says_so_and_goes_on(service: FakeService) -> None:
    with talk(service) as stream:
        opened = stream.open(results_through=7)
        assert opened.ledger_regressed
        assert stream.ack_of(events(8, "a")).through_seq == 8


def test_a_repeated_event_is_a_duplicate_and_a_differing_one_a_conflict(service: FakeService) -> None:
    with talk(service) as stream:
        stream.open()
        stream.ack_of(events(1, "a", x=1))
        duplicate = stream.ack_of(events(2, "new", "a", x=1)).results[0]
        conflict = stream.ack_of(events(3, "a", x=2)).results[0]
    assert (duplicate.stored, list(duplicate.duplicate_rows.starts)) == (1, [1])
    assert (conflict.conflict, list(conflict.conflict_rows.starts)) == (1, [0])


def test_a_rule_rejects_rows_and_the_rest_are_stored(service: FakeService) -> None:
    bad = Rejection(error_reason_pb2.ERROR_REASON_WRONG_TYPE, "x", "no")
    service.ledger.rules.append(lambda cells: bad if cells["event_id"] in {"b", "c"} else None)
    with talk(service) as stream:
        stream.open()
        result = stream.ack_of(events(1, "a", "b", "c", "d")).results[0]
    assert (result.stored, result.rejected) == (2, 2)
    assert (list(result.errors[0].rows.starts), list(result.errors[0].rows.lengths)) == ([1], [2])


def test_labels_are_joined_or_parked(service: FakeService) -> None:
    labels = events(2, "a", "z", late=1)
    labels.kind = batch_pb2.RECORD_KIND_LABELS
    with talk(service) as stream:
        stream.open()
        stream.ack_of(events(1, "a"))
        result = stream.ack_of(labels).results[0]
    assert (result.stored, result.joined, result.parked, list(result.parked_rows.starts)) == (2, 1, 1, [1])


def test_an_undecodable_batch_consumes_its_seq(service: FakeService) -> None:
    broken = batch_pb2.Batch(seq=1, kind=batch_pb2.RECORD_KIND_EVENTS, model="m")
    broken.columns.row_count = 2
    broken.columns.columns.add(name="x").float64s.values.append(1.0)
    with talk(service) as stream:
        stream.open()
        result = stream.ack_of(broken).results[0]
        assert result.errors[0].reason == error_reason_pb2.ERROR_REASON_UNDECODABLE
        assert stream.ack_of(events(2, "a")).through_seq == 2


def test_held_acks_come_when_they_are_released_though_the_rows_are_committed(service: FakeService) -> None:
    service.hold_acks()
    with talk(service) as stream:
        stream.open()
        stream.send(batch=events(1, "a"))
        stream.send(batch=events(2, "b"))
        service.release_acks()
        assert [next(stream.call).ack.through_seq for _ in range(2)] == [1, 2]


def test_dropped_acks_do_not_drop_rows(service: FakeService) -> None:
    service.behaviour.drop_acks = 1
    with talk(service) as stream:
        stream.open()
        stream.send(batch=events(1, "a"))
        assert stream.ack_of(events(2, "b")).through_seq == 2
    assert len(service.ledger.events("m")) == 2


def test_a_status_of_ours_carries_its_details(service: FakeService) -> None:
    service.behaviour.refuse = Status(grpc.StatusCode.UNAVAILABLE, "DRAINING", retry_after_s=1.5)
    with talk(service) as stream:
        stream.send(open=ingest_service_pb2.Open(producer_id=stream.producer_id))
        with pytest.raises(grpc.RpcError) as caught:
            next(stream.call)
    assert "grpc-status-details-bin" in {datum.key for datum in caught.value.trailing_metadata()}


def test_half_closing_ends_the_stream_with_ok(service: FakeService) -> None:
    with talk(service) as stream:
        stream.open()
        stream.half_close()
        assert list(stream.call) == []


def test_the_ledger_and_the_port_survive_stop_and_start(service: FakeService) -> None:
    with talk(service) as stream:
        stream.open()
        stream.ack_of(events(1, "a"))
    address = service.address
    service.stop()
    service.start()
    assert service.address == address
    with talk(service, stream.producer_id) as again:
        assert again.open().last_committed_seq == 1


def test_publish_is_idempotent_by_request_id(service: FakeService) -> None:
    with grpc.insecure_channel(service.address) as channel:
        stub = ingest_service_pb2_grpc.IngestServiceStub(channel)
        request = ingest_service_pb2.PublishRequest(request_id=str(uuid.uuid4()), batch=events(0, "a"))
        assert [stub.Publish(request).result.stored for _ in range(2)] == [1, 1]
        request.batch.rows.rows.add(event_id="b")
        with pytest.raises(grpc.RpcError, match="REQUEST_ID_REUSED"):
            stub.Publish(request)
    assert len(service.ledger.events("m")) == 1


def test_models_are_registered_extended_and_listed_in_pages(service: FakeService) -> None:
    column = model_pb2.ModelColumn(name="x", kind=model_pb2.COLUMN_KIND_FEATURE, type=model_pb2.VALUE_TYPE_FLOAT64)
    with grpc.insecure_channel(service.address) as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        for name in ("a", "b", "c"):
            request = model_service_pb2.RegisterModelRequest(model=model_pb2.Model(name=name, columns=[column]))
            assert stub.RegisterModel(request).created
            assert not stub.RegisterModel(request).created
        page = stub.ListModels(model_service_pb2.ListModelsRequest())
        rest = stub.ListModels(model_service_pb2.ListModelsRequest(page_token=page.next_page_token))
        assert [[m.name for m in p.models] for p in (page, rest)] == [["a", "b"], ["c"]]
        column.type = model_pb2.VALUE_TYPE_STRING
        with pytest.raises(grpc.RpcError, match="TYPE_CONFLICT"):
            stub.UpdateModel(model_service_pb2.UpdateModelRequest(name="a", add_columns=[column]))
