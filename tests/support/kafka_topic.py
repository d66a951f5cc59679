"""A Kafka cluster in this process: librdkafka's own mock, with consumer groups, on loopback."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from confluent_kafka import Consumer, Producer, TopicPartition

PARTITIONS = 4  # what the mock gives a topic
SOON_S = 10.0


class KafkaTopic:
    """One topic of a cluster of its own.

    Attributes:
        name: Of the topic.
        brokers: Where the cluster is.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        quiet = logging.getLogger("kafka.mock")
        quiet.setLevel(logging.ERROR)
        self._producer = Producer(
            {"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "linger.ms": 0}, logger=quiet
        )
        brokers = self._producer.list_topics(name, timeout=SOON_S).brokers.values()
        self.brokers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)

    def send(self, values: Sequence[object], partition: int | None = None) -> None:
        """Produce messages: bytes and None as they are, all else as JSON; in turn to all partitions, or to one."""
        for number, value in enumerate(values):
            raw = value if isinstance(value, bytes | None) else json.dumps(value).encode()
            where = number % PARTITIONS if partition is None else partition
            self._producer.produce(self.name, raw, partition=where, timestamp=1_356_998_400_000)
            if number % 1_000 == 0:
                self._producer.poll(0)
        assert self._producer.flush(SOON_S) == 0

    def told(self, group: str) -> int:
        """Return how many messages the group has told the brokers it has done."""
        consumer = Consumer({"bootstrap.servers": self.brokers, "group.id": group})
        try:
            partitions = [TopicPartition(self.name, number) for number in range(PARTITIONS)]
            return sum(max(each.offset, 0) for each in consumer.committed(partitions, timeout=SOON_S))
        finally:
            consumer.close()


@contextmanager
def kafka_topic(name: str = "inferences") -> Iterator[KafkaTopic]:
    """A topic; its cluster ends with the block."""
    yield KafkaTopic(name)
