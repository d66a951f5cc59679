"""What the listener does with its partitions when things go wrong: against a consumer that does as it is told."""

from __future__ import annotations

import asyncio
from collections import deque
from types import SimpleNamespace

import pytest

from headrace.v1 import result_pb2
from headrace_server.config import Kafka
from headrace_server.copying.opening import Opening
from headrace_server.errors import DatabaseUnavailableError, FencedError
from headrace_server.intake.admission import MemoryBudget
from headrace_server.kafka import listener as room
from headrace_server.kafka.listener import KafkaListener
from support.pending_batches import pending

confluent_kafka = pytest.importorskip("confluent_kafka")


class Message:
    def __init__(self, partition, offset, value=b"{}", error=None):
        self._all = (partition, offset, value, error)

    def partition(self):
        return self._all[0]

    def offset(self):
        return self._all[1]

    def value(self):
        return self._all[2]

    def error(self):
        return self._all[3]

    def timestamp(self):
        return (1, 1_000)


class Consumer:
    """Gives what the test puts into `polls`: messages, or something to do inside the poll."""

    def __init__(self):
        self.polls = deque()
        self.assigned = []
        self.paused = False
        self.watermarks = (0, 100)
        self.callbacks = {}

    def list_topics(self, topic, timeout):
        return SimpleNamespace(cluster_id="c")

    def subscribe(self, topics, **callbacks):
        self.callbacks = callbacks

    def give(self, *numbers):
        self.polls.append(lambda: self.callbacks["on_assign"](self, [SimpleNamespace(partition=n) for n in numbers]))

    def consume(self, most, timeout):
        if not self.polls:
            return []
        poll = self.polls.popleft()
        if callable(poll):
            poll()
            return []
        return poll

    def assign(self, partitions):
        self.assigned.append({each.partition: each.offset for each in partitions})

    def assignment(self):
        return []

    def pause(self, partitions):
        self.paused = True

    def resume(self, partitions):
        self.paused = False

    def get_watermark_offsets(self, partition, timeout):
        return self.watermarks

    def commit(self, offsets, asynchronous):
        pass

    def close(self):
        pass


class Service:
    """Takes everything in and settles what the test tells it to."""

    def __init__(self):
        self.limits = SimpleNamespace(suggested_batch_rows=100, max_batch_bytes=1_000_000)
        self.budget = MemoryBudget(1_000_000)
        self.last_seq = 0
        self.openings = 0
        self.taken = []
        self.away = False
        self.quotas = self
        self.wait_s = 0.0

    async def use_of(self, project):
        return self

    async def open_session(self, producer, wanted):
        if self.away:
            raise DatabaseUnavailableError("gone")
        self.openings += 1
        return Opening(self.openings, self.last_seq, self.last_seq)

    async def take_in(self, producer, epoch, batch, size_bytes, *, through_seq, fault):
        self.taken.append(pending(1, origin=producer, epoch=epoch, seq=batch.seq, through_seq=through_seq))
        return self.taken[-1]


@pytest.fixture
async def reading(monkeypatch):
    """A running listener with its consumer and service."""
    consumer, service = Consumer(), Service()
    monkeypatch.setattr(room, "make_consumer", lambda settings: consumer)
    monkeypatch.setattr(room, "RETRY_S", 0.0)
    settings = Kafka(brokers="b:9092", topic="t", model="m", in_flight_bytes="1KiB")
    listener = KafkaListener(service, settings)
    running = asyncio.create_task(listener.run())
    yield SimpleNamespace(consumer=consumer, service=service, listener=listener)
    listener.stop()
    await asyncio.wait_for(running, 20)


def settled(batch):
    batch.settle(result_pb2.BatchResult(seq=batch.seq))


async def eventually(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_partition_is_read_from_where_the_ledger_stands(reading):
    reading.service.last_seq = 42
    reading.consumer.give(0)
    await eventually(lambda: reading.consumer.assigned[-1:] == [{0: 42}])
    reading.consumer.polls.append([Message(0, 42), Message(0, 44)])
    await eventually(lambda: len(reading.service.taken) == 1)
    assert (reading.service.taken[0].seq, reading.service.taken[0].last_seq) == (43, 45)


async def test_a_batch_that_fails_is_read_again_under_a_new_session(reading):
    reading.consumer.give(0)
    await eventually(lambda: reading.consumer.assigned[-1:] == [{0: confluent_kafka.OFFSET_BEGINNING}])
    reading.consumer.polls.append([Message(0, 0)])
    await eventually(lambda: len(reading.service.taken) == 1)
    settled(reading.service.taken[0])
    reading.consumer.polls.append([Message(0, 1)])
    await eventually(lambda: len(reading.service.taken) == 2)
    reading.service.last_seq = 1
    reading.service.taken[1].fail(DatabaseUnavailableError("gone"))
    await eventually(lambda: reading.consumer.assigned[-1] == {0: 1})
    assert reading.service.openings == 2


async def test_sessions_are_opened_once_the_database_answers(reading):
    reading.service.away = True
    reading.consumer.give(0, 1)
    await eventually(lambda: reading.consumer.assigned == [{}] and not reading.consumer.polls)
    reading.service.away = False
    await eventually(lambda: set(reading.consumer.assigned[-1]) == {0, 1})


async def test_a_partition_that_another_has_is_left_alone(reading):
    reading.consumer.give(0)
    await eventually(lambda: reading.service.openings == 1)
    reading.consumer.polls.append([Message(0, 0)])
    await eventually(lambda: len(reading.service.taken) == 1)
    reading.service.taken[0].fail(FencedError("taken over"))
    reading.consumer.polls.extend([[], [Message(0, 1)], []])
    await eventually(lambda: not reading.consumer.polls)
    assert len(reading.service.taken) == 1
    assert reading.service.openings == 1


async def test_what_there_is_no_room_for_pauses_the_partitions_and_is_handed_on_later(reading):
    reading.consumer.give(0)
    await eventually(lambda: reading.service.openings == 1)
    large = b'{"x": "' + b"x" * 2_000 + b'"}'
    reading.consumer.polls.extend([[Message(0, 0, large)], [Message(0, 1, large)]])
    await eventually(lambda: reading.consumer.paused)
    assert len(reading.service.taken) == 1
    settled(reading.service.taken[0])
    await eventually(lambda: len(reading.service.taken) == 2 and not reading.consumer.paused)


@pytest.mark.parametrize(("low", "high", "read_from"), [(60, 100, 60), (0, 7, None)])
async def test_offsets_that_are_not_there(reading, low, high, read_from):
    reading.service.last_seq = 42
    reading.consumer.watermarks = (low, high)
    reading.consumer.give(0)
    await eventually(lambda: reading.consumer.assigned[-1:] == [{0: 42}])
    missing = confluent_kafka.KafkaError(confluent_kafka.KafkaError._AUTO_OFFSET_RESET)
    reading.consumer.polls.extend([[Message(0, 42, error=missing)], [Message(0, 60)], []])
    await eventually(lambda: not reading.consumer.polls)
    if read_from is None:  # the topic was made anew
        assert reading.service.taken == []
    else:  # expired before they were read: the next batch stands for them, too
        await eventually(lambda: len(reading.service.taken) == 1)
        assert reading.consumer.assigned[-1] == {0: read_from}
        assert (reading.service.taken[0].seq, reading.service.taken[0].last_seq) == (43, 61)


async def test_a_project_beyond_its_rates_waits(reading):
    reading.service.wait_s = 1.0
    reading.consumer.give(0)
    await eventually(lambda: reading.service.openings == 1)
    reading.consumer.polls.append([Message(0, 0)])
    await eventually(lambda: reading.consumer.paused)
    assert reading.service.taken == []
    reading.service.wait_s = 0.0
    await eventually(lambda: reading.service.taken)


async def test_a_message_that_comes_again_is_not_taken_again(reading):
    reading.consumer.give(0)
    await eventually(lambda: reading.service.openings == 1)
    reading.consumer.polls.extend([[Message(0, 0), Message(0, 1)], [Message(0, 0), Message(0, 1), Message(0, 2)], []])
    await eventually(lambda: not reading.consumer.polls)
    assert [(batch.seq, batch.last_seq) for batch in reading.service.taken] == [(1, 2), (3, 3)]


async def test_revoked_partitions_hand_nothing_on(reading):
    reading.consumer.give(0)
    await eventually(lambda: reading.service.openings == 1)
    reading.consumer.polls.append(lambda: reading.consumer.callbacks["on_revoke"](reading.consumer, []))
    reading.consumer.polls.extend([[Message(0, 0)], []])
    await eventually(lambda: not reading.consumer.polls)
    assert reading.service.taken == []
