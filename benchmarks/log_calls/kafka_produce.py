"""confluent-kafka's `produce` of orjson, against librdkafka's own mock broker."""

from __future__ import annotations

import time

import orjson
from confluent_kafka import Producer

from benchmarks.log_calls.caller import Features
from headrace import uuid7


class KafkaProduce:
    """A producer as its users tune it for throughput; the id is the key, made as headrace makes it."""

    name = "confluent-kafka produce"

    def __init__(self) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": "mock",
                "test.mock.num.brokers": 1,
                "linger.ms": 20,
                "queue.buffering.max.messages": 2_000_000,
                "queue.buffering.max.kbytes": 1_000_000,
            }
        )

    def call(self, features: Features) -> str:
        """Produce an event."""
        event_id = uuid7()
        self._producer.produce(
            "events", orjson.dumps({"event_id": event_id, "time_ns": time.time_ns(), "features": features}), event_id
        )
        return event_id

    def settle(self) -> None:
        """Wait for every delivery."""
        self._producer.flush(60)

    def close(self) -> None:
        """The producer ends with its last reference."""
        del self._producer
