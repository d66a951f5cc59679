"""The demo as a newcomer runs it: a program against a running service, read back from the database."""

import asyncio
import re
import socket
import sys
from pathlib import Path

import asyncpg
import pytest

from support.service import running_service

ROOT = Path(__file__).parents[2]
FLIGHTS, LANDED = 3_000, 2_958
DEADLINE_S = 90.0


async def start_demo(address: str, database_url: str, *arguments: str) -> asyncio.subprocess.Process:
    """Start the demo on the year's first flights."""
    options = ("--address", address, "--database-url", database_url, "--flights", str(FLIGHTS), *arguments)
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "examples.flights", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT,
    )


async def ended(demo: asyncio.subprocess.Process) -> tuple[int | None, str]:
    """Wait for the demo's end; return its exit code and what it said."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            said, _ = await demo.communicate()
    finally:
        if demo.returncode is None:
            demo.kill()
            await demo.wait()
    return demo.returncode, said.decode()


async def value(url: str, query: str) -> int:
    """Return the number a query answers."""
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval(query))
    finally:
        await connection.close()


async def counts(url: str) -> tuple[int, int, int]:
    """Return how many events, labels and joined flights the database holds."""
    events = await value(url, "SELECT count(*) FROM main.flight_delay")
    labels = await value(url, "SELECT count(*) FROM main.flight_delay_labels")
    joined = await value(url, "SELECT count(*) FROM main.flight_delay_joined WHERE late IS NOT NULL")
    return events, labels, joined


def verdicts(said: str, name: str) -> list[int]:
    """Return the numbers in a line of the summary table: rows, stored, duplicate, rejected, joined, parked …"""
    line = re.search(rf"^ *{name} +([\d, ]+)$", said, re.MULTILINE)
    assert line is not None, said
    return [int(number.replace(",", "")) for number in line[1].split()]


async def test_a_replay_stores_and_joins_every_row_and_a_second_one_adds_none(database_url: str) -> None:
    async with running_service(database_url) as service:
        code, said = await ended(await start_demo(service.grpc, database_url))
        assert code == 0, said
        assert verdicts(said, "events")[:4] == [FLIGHTS, FLIGHTS, 0, 0]
        assert verdicts(said, "labels")[:4] == [LANDED, LANDED, 0, 0]
        assert re.search(rf"January +{FLIGHTS:,} +{LANDED:,} +\d\d\.\d% +\d\d\.\d%", said), said
        assert await counts(database_url) == (FLIGHTS, LANDED, LANDED)

        code, said = await ended(await start_demo(service.grpc, database_url))
        assert code == 0, said
        assert verdicts(said, "events")[:4] == [FLIGHTS, 0, FLIGHTS, 0]
        assert verdicts(said, "labels")[:4] == [LANDED, 0, LANDED, 0]
        assert await counts(database_url) == (FLIGHTS, LANDED, LANDED)


async def test_a_paced_replay_goes_on_by_itself_after_the_service_was_killed(database_url: str) -> None:
    async with running_service(database_url) as service:
        address = service.grpc
        demo = await start_demo(address, database_url, "--rate", "1000")
        try:
            await some_rows(database_url)
        except BaseException:
            demo.kill()
            await demo.wait()
            raise
        service.kill()
        await service.ended()
        assert await stored(database_url) < FLIGHTS
    async with running_service(database_url, grpc_port=int(address.rpartition(":")[2])):
        code, said = await ended(demo)
    assert code == 0, said
    assert verdicts(said, "events")[0] == FLIGHTS
    assert await counts(database_url) == (FLIGHTS, LANDED, LANDED)


async def some_rows(url: str) -> None:
    """Wait until the replay is under way."""
    async with asyncio.timeout(DEADLINE_S):
        while await stored(url) < 200:
            await asyncio.sleep(0.05)


async def stored(url: str) -> int:
    """Return how many events are stored; the table may not be there yet."""
    try:
        return await value(url, "SELECT count(*) FROM main.flight_delay")
    except asyncpg.UndefinedTableError:
        return 0


async def test_without_a_service_it_says_what_to_start(database_url: str, unused_port: int) -> None:
    code, said = await ended(await start_demo(f"localhost:{unused_port}", database_url))
    assert code == 1
    assert "make run" in said


@pytest.fixture
def unused_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
