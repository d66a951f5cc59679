"""A service of several processes: rows are stored once whichever of them ends, and all of them end together."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from headrace_server.storage.embedded import EmbeddedSettings, locate
from support.producers import acked, assert_stored_once, producers
from support.resending_client import ResendingClient, batches, sent_by
from support.service import ServiceProcess, running_service
from support.timescale import reachable_folder
from support.wire_client import events, json_batch, wire_client

# So many that the kernel's choice leaves no worker without any: once in 30,000 times.
PRODUCERS, BATCHES, ROWS = 16, 20, 200
TOTAL = PRODUCERS * BATCHES * ROWS
LOAD = {"count": PRODUCERS, "batches_each": BATCHES, "rows": ROWS}
TWO = ("--workers", "2")


async def register(service: ServiceProcess) -> None:
    """Register the flights' model."""
    async with wire_client(service.grpc) as client:
        await client.register()


def workers_of(service: ServiceProcess) -> list[psutil.Process]:
    """The worker processes; the embedded database is a child of the parent, too."""
    children = psutil.Process(service.process.pid).children()
    return [child for child in children if "worker" in child.cmdline()]


async def by_worker(service: ServiceProcess, name: str) -> dict[str, float]:
    """A metric's value of each worker, summed over its other labels."""
    text = await asyncio.to_thread(_get, f"http://{service.http}/metrics")
    values: Counter[str] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name:
                values[sample.labels["worker"]] += sample.value
    return dict(values)


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


async def ended_with(database_url: str, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run a service that cannot serve to its end; returns its exit code and what it said."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "headrace_server", "serve", "--grpc-port", "0", "--http-port", "0", *arguments),
        stderr=asyncio.subprocess.PIPE,
        env=variables | {"HEADRACE_DATABASE_URL": database_url} | environment,
    )
    async with asyncio.timeout(60):
        _, said = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_rows_that_come_in_by_two_workers_are_stored_once_and_counted_by_both(
    database_url: str, database: asyncpg.Connection
) -> None:
    async with running_service(database_url, *TWO) as service:
        clients = producers(service.grpc, **LOAD)
        await register(service)
        await sent_by(clients)
        rows = await by_worker(service, "headrace_rows_acked_total")
        assert await by_worker(service, "headrace_worker_up") == {"0": 1.0, "1": 1.0}
    assert all(rows.values())
    assert sum(rows.values()) == TOTAL
    await assert_stored_once(database, clients, TOTAL)
    serving = [line for line in service.logs if line["event"] == "serving"]
    assert [line["workers"] for line in serving] == [2]


async def test_a_worker_killed_under_load_loses_and_doubles_nothing_and_comes_back(
    database_url: str, database: asyncpg.Connection
) -> None:
    async with running_service(database_url, *TWO) as service:
        clients = producers(service.grpc, **LOAD)
        await register(service)
        sending = asyncio.create_task(sent_by(clients))
        await acked(clients, PRODUCERS * BATCHES // 4)
        victim = workers_of(service)[0]
        victim.kill()
        assert "exit code -9" in (await service.logged("worker_ended"))["why"]
        await sending
        async with asyncio.timeout(30):
            while await by_worker(service, "headrace_worker_up") != {"0": 1.0, "1": 1.0}:
                await asyncio.sleep(0.05)
        assert len(workers_of(service)) == 2
        assert victim.pid not in {worker.pid for worker in workers_of(service)}
    assert PRODUCERS < sum(client.sessions for client in clients) < 2 * PRODUCERS, "some moved over, some stayed"
    await assert_stored_once(database, clients, TOTAL)


async def test_workers_are_gone_with_their_parent_and_the_ports_are_free(
    database_url: str, grpc_port: int, database: asyncpg.Connection
) -> None:
    clients = producers(f"127.0.0.1:{grpc_port}", **LOAD)
    async with running_service(database_url, *TWO, grpc_port=grpc_port) as first:
        await register(first)
        sending = asyncio.create_task(sent_by(clients))
        await acked(clients, PRODUCERS * BATCHES // 4)
        workers = workers_of(first)
        first.kill()
        await first.ended()
        gone, _ = await asyncio.to_thread(psutil.wait_procs, workers, 10)
        assert len(gone) == 2
    async with running_service(database_url, *TWO, grpc_port=grpc_port):
        await sending
    await assert_stored_once(database, clients, TOTAL)


async def test_sigterm_drains_the_workers_and_the_service_ends_well(
    database_url: str, database: asyncpg.Connection
) -> None:
    async with running_service(database_url, *TWO) as stopping, running_service(database_url) as staying:
        turns = iter([stopping.grpc] * PRODUCERS + [staying.grpc] * 1_000)
        clients = [ResendingClient(lambda: next(turns), batches(n, BATCHES, ROWS)) for n in range(PRODUCERS)]
        await register(stopping)
        sending = asyncio.create_task(sent_by(clients))
        await acked(clients, PRODUCERS * BATCHES // 4)
        workers = workers_of(stopping)
        stopping.signal(signal.SIGTERM)
        assert await stopping.ended() == 0
        assert not any(worker.is_running() for worker in workers)
        await sending
    assert not any(client.refusals for client in clients), "each was told to move over, none was cut off"
    assert stopping.logs[-1]["event"] == "stopped"
    await assert_stored_once(database, clients, TOTAL)


async def test_a_second_signal_ends_the_workers_at_once(database_url: str) -> None:
    async with (
        running_service(database_url, *TWO, HEADRACE_DRAIN_GRACE_S="300") as service,
        wire_client(service.grpc) as client,
    ):
        await client.register()
        stream = client.stream(timeout_s=60)
        await stream.open()
        service.signal(signal.SIGTERM)
        assert (await stream.read()).WhichOneof("message") == "drain"
        service.signal(signal.SIGTERM)
        assert await service.ended(timeout_s=15) == 0


async def test_a_ctrl_c_at_the_terminal_reaches_the_parent_alone(database_url: str) -> None:
    async with running_service(database_url, *TWO) as service:
        workers = workers_of(service)
        assert len(workers) == 2
        assert os.getsid(service.process.pid) not in {os.getsid(worker.pid) for worker in workers}


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_port_that_workers_hold_is_refused_to_another_service(database_url: str, workers: str) -> None:
    async with running_service(database_url, *TWO) as service:
        port = service.grpc.rpartition(":")[2]
        code, said = await ended_with(database_url, "--workers", workers, "--grpc-port", port)
        assert code == 1
        assert f"the gRPC door cannot listen at 127.0.0.1:{port}" in said
        assert "Traceback" not in said


async def test_a_port_that_is_taken_is_refused_to_workers(database_url: str) -> None:
    async with running_service(database_url) as service:
        port = service.http.rpartition(":")[2]
        code, said = await ended_with(database_url, *TWO, "--http-port", port)
        assert code == 1
        assert f"the HTTP door cannot listen at 127.0.0.1:{port}" in said


async def test_more_workers_than_the_database_has_connections_for_are_refused(database_url: str) -> None:
    code, said = await ended_with(database_url, "--workers", "64")
    assert code == 1
    assert "64 workers may hold" in said
    assert "lower intake.workers, or raise max_connections" in said


async def test_what_keeps_workers_from_serving_is_said_once(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "broken.pem").write_text("no certificate")
    tls = {f"HEADRACE_TLS_{name}": str(tmp_path / "broken.pem") for name in ("CERTIFICATE", "KEY")}
    code, said = await ended_with(database_url, *TWO, **tls)
    assert code == 1
    assert said.count("headrace: ") == 1
    assert "broken.pem" in said
    assert "Traceback" not in said


@pytest.fixture
def data() -> Iterator[EmbeddedSettings]:
    """An embedded database that was never made."""
    folder = reachable_folder()
    yield EmbeddedSettings(data_dir=folder / "data")
    shutil.rmtree(folder)


async def test_the_embedded_database_is_the_parents_and_ends_last(data: EmbeddedSettings) -> None:
    arguments = (*TWO, "--data-dir", str(data.data_dir))
    async with running_service(None, *arguments, HEADRACE_DATABASE_BALLAST_BYTES="0") as service:
        place = locate(data)
        assert place is not None
        assert place.service_pid == service.process.pid
        async with wire_client(service.grpc) as client:
            await client.register()
            assert (await client.publish(json_batch(events(3)))).stored == 3
        service.signal(signal.SIGTERM)
        assert await service.ended() == 0
    ended = locate(data)
    assert ended is not None
    assert not ended.running
