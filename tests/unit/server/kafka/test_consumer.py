"""What librdkafka is told, and what a person is told when it will not."""

import sys

import pytest

from headrace_server.config import Kafka
from headrace_server.kafka.consumer import TopicUnreadableError, make_consumer


def test_without_confluent_kafka_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(TopicUnreadableError, match=r"pip install 'headrace\[kafka\]'"):
        make_consumer(Kafka(brokers="b:9092", topic="t", model="m"))


@pytest.mark.parametrize(
    ("text", "words"), [("no.such.property=1", "no.such.property"), ("# fine\nnothing", "name=value")]
)
def test_a_property_that_cannot_be_is_told_by_name(tmp_path, text, words):
    pytest.importorskip("confluent_kafka")
    file = tmp_path / "librdkafka.properties"
    file.write_text(text)
    with pytest.raises(TopicUnreadableError, match=words):
        make_consumer(Kafka(brokers="b:9092", topic="t", model="m", properties_file=file))


def test_a_file_of_properties_that_is_not_there_is_named(tmp_path):
    pytest.importorskip("confluent_kafka")
    with pytest.raises(TopicUnreadableError, match=r"kafka\.properties_file"):
        make_consumer(Kafka(brokers="b:9092", topic="t", model="m", properties_file=tmp_path / "none"))
