"""Sampled models through a real service: which events are kept, what their labels are told, what clients learn."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

import headrace
import headrace.aio
from headrace.logged.sampling import bound_of, is_kept
from support.service import running_service
from support.timescale import TimescaleCluster
from support.wire_client import WireClient, json_batch, rows_of, wire_client

pytestmark = pytest.mark.asyncio(loop_scope="module")
RATE = 0.3
BOUND = bound_of(RATE) or b""
IDS = [f"e{number}" for number in range(100)]
KEPT = [event_id for event_id in IDS if is_kept(event_id, BOUND)]
OUTSIDE = [event_id for event_id in IDS if not is_kept(event_id, BOUND)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(timescale: TimescaleCluster) -> AsyncIterator[str]:
    async with timescale.fresh_database() as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def address(url: str) -> AsyncIterator[str]:
    async with running_service(url) as service:
        yield service.grpc


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire(address: str) -> AsyncIterator[WireClient]:
    async with wire_client(address) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(address: str) -> AsyncIterator[headrace.aio.AsyncClient]:
    async with headrace.aio.connect(address) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


@pytest_asyncio.fixture(loop_scope="module")
async def model(wire: WireClient) -> str:
    name = f"m{uuid4().hex}"
    await wire.register(name)
    return name


def events(ids: list[str], time: datetime, **cells: Any) -> list[dict[str, Any]]:
    return [{"event_id": event_id, "event_time": time.isoformat(), "dep_delay": 1.0, **cells} for event_id in ids]


async def test_the_service_keeps_the_sample_and_skips_the_rest(
    wire: WireClient, client: headrace.aio.AsyncClient, database: asyncpg.Connection, model: str
) -> None:
    now = datetime.now(UTC)
    assert (await wire.publish(json_batch(events(OUTSIDE[:1], now), model=model))).stored == 1
    assert (await client.update_model(model, sampling_rate=RATE)).sampling_rate == RATE
    producer = str(uuid4())
    stream = wire.stream()
    await stream.open(producer)
    rows = [*events(IDS, now, note="new"), *events(OUTSIDE[1:2], now, inclusion_probability=0.5)]
    result = await stream.settle(json_batch([*rows, {"event_id": "bad"}], seq=1, model=model))
    assert (result.stored, result.skipped, result.rejected) == (len(KEPT) + 1, len(OUTSIDE), 1)
    assert rows_of(result.skipped_rows) == [IDS.index(event_id) for event_id in OUTSIDE]
    found = await database.fetch(f"SELECT event_id, inclusion_probability AS p FROM main.{model} WHERE note = 'new'")
    assert {row["event_id"]: row["p"] for row in found} == dict.fromkeys(KEPT, RATE)
    assert await database.fetchval(f"SELECT count(*) FROM main.{model} WHERE inclusion_probability = 0.5") == 1
    (told,) = await client.delivery_report(producer)
    assert (told.stored, told.skipped, told.rejected) == (len(KEPT) + 1, len(OUTSIDE), 1)

    await client.update_model(model, sampling_rate=0.9)
    again = await wire.publish(json_batch(events(KEPT, now, note="new"), model=model))
    assert again.duplicate == len(KEPT), "the probability belongs to the delivery, not to the event"


async def test_labels_of_events_outside_the_sample_are_skipped(
    wire: WireClient, client: headrace.aio.AsyncClient, model: str
) -> None:
    before = datetime.now(UTC) - timedelta(minutes=5)
    await wire.publish(json_batch(events(OUTSIDE[:1], before), model=model))
    await client.update_model(model, sampling_rate=RATE)
    after = datetime.now(UTC) + timedelta(seconds=2)
    await wire.publish(json_batch(events(IDS, after), model=model))

    def label(event_id: str, time: datetime | None) -> dict[str, Any]:
        return {"event_id": event_id, "late": True} | ({"event_time": time.isoformat()} if time else {})

    labels = [
        label(KEPT[0], after),  # joined
        label(OUTSIDE[0], before),  # joined: its event came before sampling began
        label(OUTSIDE[1], after),  # skipped
        label(OUTSIDE[2], before),  # parked: an event of then would be kept
        label(OUTSIDE[3], None),  # parked: an event of this week may have been kept
    ]
    foreseen = await client.model(model).validate(labels, update=True)
    result = await wire.publish(json_batch(labels, model=model, kind="LABELS"))
    assert (result.joined, result.skipped, result.parked) == (2, 1, 2)
    assert rows_of(result.skipped_rows) == foreseen.skipped_rows == [2]


async def test_an_untimed_label_is_skipped_once_every_rate_of_the_week_says_so(
    wire: WireClient, client: headrace.aio.AsyncClient, database: asyncpg.Connection, model: str
) -> None:
    await client.update_model(model, sampling_rate=RATE)
    await database.execute(
        "UPDATE headrace.sampling_rates SET began_at = now() - interval '8 days' WHERE model = $1", model
    )
    await client.update_model(model, sampling_rate=RATE / 2)
    labels = [{"event_id": event_id, "late": True} for event_id in (OUTSIDE[0], KEPT[0])]
    result = await wire.publish(json_batch(labels, model=model, kind="LABELS"))
    assert (result.skipped, result.parked) == (1, 1)


async def test_clients_learn_the_rate_as_they_open_and_while_they_are_open(
    address: str, wire: WireClient, client: headrace.aio.AsyncClient, database: asyncpg.Connection, model: str
) -> None:
    other = f"{model}_other"
    await wire.register(other)
    await client.update_model(model, sampling_rate=RATE)
    async with headrace.aio.connect(address) as logger:
        logger.model(other).log({"dep_delay": 1.0})
        await logger.flush()  # the session is open now
        handle = logger.model(model)
        for event_id in IDS:
            assert handle.log({"dep_delay": 1.0}, event_id=event_id) == event_id
        handle.log({"dep_delay": 1.0}, event_id=OUTSIDE[0], inclusion_probability=0.5)
        await logger.flush()
        stats = logger.stats()
        assert stats.dropped == {"UNSAMPLED": len(OUTSIDE)}
        assert (stats.logged, stats.stored, stats.skipped) == (102, len(KEPT) + 2, 0)

        await client.update_model(other, sampling_rate=1e-12)
        async with asyncio.timeout(20):
            while logger.stats().dropped["UNSAMPLED"] == len(OUTSIDE):
                logger.model(other).log({"dep_delay": 1.0})
                await asyncio.sleep(0.01)
    rates = await database.fetch(f"SELECT DISTINCT inclusion_probability AS p FROM main.{model} ORDER BY 1")
    assert [row["p"] for row in rates] == [RATE, 0.5]


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.1, float("nan")])
async def test_a_rate_that_is_none_is_refused(client: headrace.aio.AsyncClient, model: str, rate: float) -> None:
    with pytest.raises(headrace.ServiceError) as refused:
        await client.update_model(model, sampling_rate=rate)
    assert refused.value.reason == "MODEL_INVALID"
