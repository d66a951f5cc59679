"""What a stream is told: acks in order, no larger than a client takes, and its models' changes."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from headrace.v1 import ingest_service_pb2 as pb
from headrace.v1 import result_pb2
from headrace_server.batching.batch import PendingBatch
from headrace_server.errors import DatabaseUnavailableError, FencedError
from headrace_server.intake.admission import MemoryBudget, Reservation
from headrace_server.intake.answers import CREDIT_BATCHES, MAX_ACK_BYTES, Answers
from headrace_server.models.sampling import SamplingRate
from support.event_schemas import NOW, model
from support.pending_batches import pending

MAX_BATCH = 1_000


class Stream:
    """Answers, the batches they are owed for, and the memory those hold."""

    def __init__(self) -> None:
        self.answers = Answers(MAX_BATCH)
        self.budget = MemoryBudget(10_000_000)
        self.batches: dict[int, PendingBatch] = {}

    def send(self, *seqs: int) -> None:
        for seq in seqs:
            batch = self.batches[seq] = pending(seq=seq)
            reservation = Reservation(self.budget, 0)
            reservation.resize(100)
            self.answers.received_bytes += 10
            self.answers.expect(batch, reservation)

    def store(self, *seqs: int, rows: int = 3) -> None:
        for seq in seqs:
            self.batches[seq].settle(result_pb2.BatchResult(rows=rows, stored=rows))

    def told(self) -> list[pb.IngestResponse]:
        return list(self.answers.messages())

    def acks(self) -> list[pb.Ack]:
        messages = self.told()
        assert all(message.WhichOneof("message") == "ack" for message in messages)
        return [message.ack for message in messages]


@pytest.fixture
async def stream() -> Stream:
    return Stream()


def refused(bytes_of_message: int) -> result_pb2.BatchResult:
    result = result_pb2.BatchResult(rows=1, rejected=1)
    result.errors.add(message="m" * bytes_of_message)
    return result


async def test_nothing_settled_is_nothing_said(stream: Stream) -> None:
    stream.send(1, 2)
    assert stream.told() == []
    assert stream.answers.in_flight == 2


async def test_batches_settled_in_a_row_are_one_ack(stream: Stream) -> None:
    stream.send(1, 2, 3)
    stream.store(1, 2, 3)
    (ack,) = stream.acks()
    assert (ack.through_seq, list(ack.results)) == (3, [])
    assert stream.answers.in_flight == 0
    assert stream.told() == []


async def test_a_batch_is_not_acked_before_the_one_before_it(stream: Stream) -> None:
    stream.send(1, 2, 3)
    stream.store(2, 3)
    assert stream.told() == []
    stream.store(1)
    assert [ack.through_seq for ack in stream.acks()] == [3]


async def test_memory_is_held_until_the_ack(stream: Stream) -> None:
    stream.send(1, 2)
    assert stream.budget.used_bytes == 200
    stream.store(1)
    stream.acks()
    assert stream.budget.used_bytes == 100


@pytest.mark.parametrize(
    "result",
    [
        result_pb2.BatchResult(rows=2, stored=1, duplicate=1),
        result_pb2.BatchResult(rows=1, stored=1, replayed=True),
        result_pb2.BatchResult(rows=1, stored=1, parked=1),
        result_pb2.BatchResult(errors=[result_pb2.RowErrors(message="cannot be decoded")]),
    ],
    ids=["duplicates", "replayed", "parked", "undecodable"],
)
async def test_a_result_with_something_to_say_is_sent_with_its_seq(
    stream: Stream, result: result_pb2.BatchResult
) -> None:
    stream.send(4, 5, 6)
    stream.store(4, 6)
    stream.batches[5].settle(result)
    (ack,) = stream.acks()
    assert ack.through_seq == 6
    assert [each.seq for each in ack.results] == [5]


async def test_many_results_are_told_in_acks_of_bounded_size(stream: Stream) -> None:
    seqs = range(1, 21)
    stream.send(*seqs)
    for seq in seqs:
        stream.batches[seq].settle(refused(50_000))
    acks = stream.acks()
    assert all(ack.ByteSize() <= MAX_ACK_BYTES + 100 for ack in acks)
    assert [result.seq for ack in acks for result in ack.results] == list(seqs)
    assert [ack.through_seq for ack in acks] == [5, 10, 15, 20]


async def test_a_result_larger_than_the_bound_goes_alone(stream: Stream) -> None:
    stream.send(1, 2, 3)
    for seq, size in ((1, 10), (2, MAX_ACK_BYTES), (3, 10)):
        stream.batches[seq].settle(refused(size))
    assert [[result.seq for result in ack.results] for ack in stream.acks()] == [[1], [2], [3]]


async def test_the_error_of_the_oldest_ends_the_stream_after_what_was_committed(stream: Stream) -> None:
    stream.send(1, 2, 3)
    stream.store(1, 3)
    stream.batches[2].fail(FencedError("a newer session has taken over"))
    messages = stream.answers.messages()
    assert next(messages).ack.through_seq == 1
    with pytest.raises(FencedError):
        next(messages)


async def test_an_error_waits_for_the_batches_before_it(stream: Stream) -> None:
    stream.send(1, 2)
    stream.batches[2].fail(DatabaseUnavailableError("away"))
    assert stream.told() == []
    stream.store(1)
    with pytest.raises(DatabaseUnavailableError):
        stream.told()


async def test_credit_is_told_with_each_ack_and_never_falls(stream: Stream) -> None:
    assert stream.answers.credit_bytes == CREDIT_BATCHES * MAX_BATCH
    told = []
    for seq in range(1, 6):
        stream.send(seq)
        stream.store(seq)
        told += [ack.credit_bytes for ack in stream.acks()]
    assert told == [CREDIT_BATCHES * MAX_BATCH + 10 * count for count in range(1, 6)]


async def test_only_changes_of_watched_models_are_told_and_of_several_the_last(stream: Stream) -> None:
    mine, other = model(), replace(model(), name="other", sql_name="other")
    stream.answers.on_model_changed(replace(mine, revision=2))
    assert stream.told() == []
    stream.answers.watch(mine)
    for revision in (2, 3):
        stream.answers.on_model_changed(replace(mine, revision=revision))
    stream.answers.on_model_changed(replace(other, revision=9))
    stream.answers.on_model_changed(replace(mine, project="elsewhere", revision=9))
    told = [(message.model_updated.model.name, message.model_updated.model.revision) for message in stream.told()]
    assert told == [("flight_delay", 3)]
    assert stream.told() == []


async def test_another_sampling_rate_is_told_of_every_model_of_the_project_and_once(stream: Stream) -> None:
    quarter, half = (replace(model(), sampling=(SamplingRate(NOW, rate),)) for rate in (0.25, 0.5))
    stream.answers.on_model_changed(half)
    assert stream.told() == [], "nobody has told the client of any rate"
    stream.answers.told_sampling("main", {"flight_delay": 0.25})
    stream.answers.on_model_changed(quarter)
    stream.answers.on_model_changed(replace(half, project="elsewhere"))
    assert stream.told() == []
    stream.answers.on_model_changed(half)
    assert stream.answers.wake.is_set()
    assert [message.model_updated.model.sampling_rate for message in stream.told()] == [0.5]
    stream.answers.on_model_changed(half)
    assert stream.told() == []


async def test_a_change_is_told_before_the_acks_of_batches_that_follow_it(stream: Stream) -> None:
    stream.send(1)
    stream.store(1)
    stream.answers.watch(model())
    stream.answers.on_model_changed(replace(model(), revision=2))
    stream.answers.drain(30_000)
    messages = stream.told()
    assert [message.WhichOneof("message") for message in messages] == ["drain", "model_updated", "ack"]
    assert messages[0].drain.deadline_ms == 30_000
    assert stream.told() == []


def settle(stream: Stream) -> None:
    stream.send(1)
    stream.store(1)


def change(stream: Stream) -> None:
    stream.answers.watch(model())
    stream.answers.on_model_changed(model())


def drain(stream: Stream) -> None:
    stream.answers.drain(1)


@pytest.mark.parametrize("happens", [settle, change, drain])
async def test_whatever_is_to_be_said_wakes_the_writer(stream: Stream, happens: Callable[[Stream], None]) -> None:
    assert not stream.answers.wake.is_set()
    happens(stream)
    await stream.answers.wake.wait()


async def test_memory_of_batches_that_nobody_waits_for_is_held_until_they_are_settled(stream: Stream) -> None:
    stream.send(1, 2)
    stream.answers.abandon()
    assert stream.answers.in_flight == 0
    assert stream.budget.used_bytes == 200
    for batch in stream.batches.values():
        assert batch.abandoned
        batch.settle(result_pb2.BatchResult())
    await asyncio.sleep(0)  # the loop tells whoever waits for a settled batch
    assert stream.budget.used_bytes == 0
