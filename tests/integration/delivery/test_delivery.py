"""Where every row of a producer is, told through a real service; one service for all tests."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from typer.testing import CliRunner

import headrace
import headrace.aio
from headrace import ProducerDelivery
from headrace.v1 import ingest_service_pb2 as pb
from headrace_server.cli.application import application
from support.service import running_service
from support.timescale import TimescaleCluster
from support.wire_client import WireClient, events, json_batch, wire_client

pytestmark = pytest.mark.asyncio(loop_scope="module")
QUICK = headrace.Settings(report_interval_s=0.05)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(timescale: TimescaleCluster) -> AsyncIterator[str]:
    async with timescale.fresh_database() as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def address(url: str) -> AsyncIterator[str]:
    async with running_service(url) as service:
        async with wire_client(service.grpc) as client:
            await client.register()
        yield service.grpc


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire(address: str) -> AsyncIterator[WireClient]:
    async with wire_client(address) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(address: str) -> AsyncIterator[headrace.aio.AsyncClient]:
    async with headrace.aio.connect(address) as client:
        yield client


async def statement(client: headrace.aio.AsyncClient, producer_id: str) -> ProducerDelivery:
    (told,) = await client.delivery_report(producer_id)
    return told


def accounted(told: ProducerDelivery) -> int:
    settled = told.stored + told.duplicate + told.conflict + told.rejected
    return sum(told.dropped.values()) + told.quarantined + told.buffered + told.in_flight + told.spooled + settled


async def test_every_logged_row_is_somewhere(address: str, database: asyncpg.Connection) -> None:
    async with headrace.aio.connect(address, settings=QUICK) as client:
        model = client.model("flight_delay")
        for number in range(20):
            model.log({"dep_delay": float(number)}, event_id=f"r{number}", event_time=1_356_998_400)
        await client.flush()
        model.log({"dep_delay": 0.0}, event_id="r0", event_time=1_356_998_400)
        model.log({"dep_delay": 9.0}, event_id="r1", event_time=1_356_998_400)
        model.log({"dep_delay": "soon"}, event_id="r2", event_time=1_356_998_400)
        model.log({"dep_delay": object()}, event_id="r3", event_time=1_356_998_400)
        await client.flush()
        producer = client.producer_ids["events"]

        async with asyncio.timeout(20):
            while (report := await statement(client, producer)).logged < 24 or accounted(report) != 24:
                await asyncio.sleep(0.02)
        assert (report.stored, report.duplicate, report.conflict, report.rejected) == (20, 1, 1, 1)
        assert report.dropped == {"UNENCODABLE": 1}
        assert (report.unexplained, report.gaps) == (0, ())
        assert report.client.startswith("headrace-python/")
    row = await database.fetchrow("SELECT * FROM headrace.delivery WHERE producer_id = $1::text::uuid", producer)
    assert (row["logged"], row["dropped_rows"], row["stored"], row["unexplained"]) == (24, 1, 20, 0)


async def test_a_batch_that_is_sent_again_is_counted_once(wire: WireClient, client: headrace.aio.AsyncClient) -> None:
    producer = str(uuid4())
    for _ in range(2):
        stream = wire.stream()
        await stream.open(producer)
        await stream.settle(json_batch(events(4, first=100), seq=1))
    await stream.settle(json_batch(b"[no JSON", seq=2))
    report = await statement(client, producer)
    assert (report.last_seq, report.stored, report.rejected, report.undecodable_batches) == (2, 4, 0, 1)
    assert report.report_time is None


async def test_rows_that_are_nowhere_are_named(
    address: str, wire: WireClient, client: headrace.aio.AsyncClient, database: asyncpg.Connection
) -> None:
    """A database that was restored: acknowledged batches are gone."""
    producer = str(uuid4())
    stream = wire.stream()
    await stream.open(producer)
    for seq in (1, 2, 3):
        await stream.settle(json_batch(events(5, first=200 + 5 * seq), seq=seq))
    await stream.send(pb.IngestRequest(report=pb.Report(logged_rows=15)))
    await eventually_reported(client, producer)
    assert (await statement(client, producer)).unexplained == 0
    await database.execute(
        "UPDATE headrace.producers SET last_seq = 1, stored = 5 WHERE producer_id = $1::text::uuid", producer
    )
    again = wire.stream()
    assert (await again.open(producer, next_seq=4, results_through=3)).ledger_regressed
    report = await statement(client, producer)
    assert report.unexplained == 10
    assert [(gap.from_seq, gap.through_seq) for gap in report.gaps] == [(2, 3)]

    ended = await asyncio.to_thread(command, "delivery", producer, "--address", address)
    assert ended.exit_code == 1
    assert "batches 2 to 3" in ended.output
    assert "unexplained" in ended.output
    ended = await asyncio.to_thread(command, "delivery", "--address", address)
    assert producer in ended.output
    ended = await asyncio.to_thread(command, "delivery", str(uuid4()), "--address", address)
    assert "knows no producer" in ended.stderr


async def test_what_a_client_says_is_bounded(wire: WireClient, client: headrace.aio.AsyncClient) -> None:
    producer, most = str(uuid4()), 2**64 - 1
    stream = wire.stream()
    await stream.open(producer)
    reasons = {f"reason {number} \0 " + "x" * 1_000: most for number in range(100)}
    await stream.send(pb.IngestRequest(report=pb.Report(logged_rows=most, spooled_rows=most, dropped_rows=reasons)))
    await eventually_reported(client, producer)
    report = await statement(client, producer)
    assert (report.logged, report.spooled) == (2**53, 2**53)
    assert len(report.dropped) == 65
    with pytest.raises(headrace.ServiceError, match="must be a UUID"):
        await client.delivery_report("worker-1")


async def eventually_reported(client: headrace.aio.AsyncClient, producer: str) -> None:
    async with asyncio.timeout(20):
        while (await statement(client, producer)).report_time is None:
            await asyncio.sleep(0.02)


def command(*arguments: str):  # type: ignore[no-untyped-def]  # typer's Result is click's
    return CliRunner(env={"COLUMNS": "200"}).invoke(application, arguments)
