"""A topic, a model for its messages, and a look at the database behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import asyncpg
import pytest

from support.kafka_topic import KafkaTopic, kafka_topic
from support.service import ServiceProcess, running_service

Read = Callable[..., AbstractAsyncContextManager[ServiceProcess]]


@pytest.fixture
def topic() -> Iterator[KafkaTopic]:
    with kafka_topic() as topic:
        yield topic


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
def read(database_url: str, topic: KafkaTopic, tmp_path: Path) -> Read:
    """Start a replica that reads the topic; keywords are settings of its group `kafka`."""
    properties = tmp_path / "librdkafka.properties"
    properties.write_text("# a dead reader is missed soon\nsession.timeout.ms=3000\nheartbeat.interval.ms=500\n")

    def started(**settings: str) -> AbstractAsyncContextManager[ServiceProcess]:
        chosen = {"brokers": topic.brokers, "topic": topic.name, "model": "flights"}
        chosen |= {"group": "readers", "properties_file": str(properties)}
        chosen |= settings
        variables = {f"HEADRACE_KAFKA_{name.upper()}": value for name, value in chosen.items()}
        return running_service(database_url, "--infer-models", **variables)

    return started
