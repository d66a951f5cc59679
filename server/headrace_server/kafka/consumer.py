"""The Kafka client: librdkafka, through confluent-kafka, which comes with the extra headrace[kafka]."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headrace_server.config import Kafka

if TYPE_CHECKING:
    from confluent_kafka import Consumer

METADATA_TIMEOUT_S = 10.0
PREFETCHED_KIB = 16 * 1024  # librdkafka's own default is 64 MiB beside all that the service bounds


class TopicUnreadableError(Exception):
    """The topic cannot be read; the text says what to do."""


def make_consumer(settings: Kafka) -> Consumer:
    """Return a consumer that leaves all offsets to its caller.

    Raises:
        TopicUnreadableError: confluent-kafka is not installed, or a property is none of librdkafka's.
    """
    try:
        from confluent_kafka import Consumer, KafkaException  # noqa: PLC0415 -- an extra
    except ImportError as error:
        raise TopicUnreadableError("reading Kafka needs confluent-kafka: pip install 'headrace[kafka]'") from error
    properties: dict[str, str | int | float | bool] = {
        "client.id": "headrace",
        "queued.max.messages.kbytes": PREFETCHED_KIB,
        "session.timeout.ms": 10_000,  # a killed replica's partitions are another's after so long; default 45 s
        **_properties(settings.properties_file),
        "bootstrap.servers": settings.brokers,
        "group.id": settings.reading_group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",  # the ledger says where to read; silently elsewhere is never right
        "isolation.level": "read_committed",
        "partition.assignment.strategy": "range",
    }
    try:
        return Consumer(properties)
    except (KafkaException, ValueError) as error:
        raise TopicUnreadableError(f"librdkafka refuses its properties: {error}") from error


def cluster_id(consumer: Consumer, topic: str) -> str:
    """Return the id of the cluster.

    Raises:
        TopicUnreadableError: No broker answers.
    """
    from confluent_kafka import KafkaException  # noqa: PLC0415 -- as above

    try:
        metadata = consumer.list_topics(topic, timeout=METADATA_TIMEOUT_S)
    except KafkaException as error:
        raise TopicUnreadableError(f"no broker answers: {error}") from error
    return str(metadata.cluster_id)


def _properties(file: Path | None) -> dict[str, str]:
    """Return the properties of a file, name=value a line, # for comments."""
    if file is None:
        return {}
    try:
        lines = file.read_text().splitlines()
    except OSError as error:
        raise TopicUnreadableError(f"kafka.properties_file cannot be read: {error}") from error
    pairs = [line.partition("=") for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if any(not separator for _, separator, _ in pairs):
        raise TopicUnreadableError(f"{file}: a line is name=value")
    return {name.strip(): value.strip() for name, _, value in pairs}
