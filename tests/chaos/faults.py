"""The faults: what befalls a system, and from which moment its recovery counts.

A fault is dealt for the length of a block, which is entered when the worst is over as far as the harness has a hand in
it: what was killed runs again, what was frozen thaws (but for a frozen replica, which stays so until others have taken
over). Recovery counts from the blow, for faults that last from their end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import asyncpg
import psutil

from chaos.system import GRACE_S, PATIENCE_S, Replica, System
from headrace_server.failpoints import STEPS
from support.tcp_proxy import Cut, Direction, TcpProxy

MOST_PASSES = 12
STALL_S = 300.0
MOST_GROWN_BYTES = 96 << 20  # the budget of 64 MiB, and what allocators keep
EARLY_ACK_S = 0.05  # an ack that did not wait for the COMMIT is with its producer by then
WORKERS_END_S = 5.0
STEP_COMES_S = 10.0  # a replica that nobody sends late rows to never settles any: then it is killed where it is

Deal = Callable[[System, Random], AbstractAsyncContextManager[float]]


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: What it is called, on the command line too.
        what: What happens, for the table.
        deal: Deals it; gives the moment from which recovery counts.
        replicas: Replicas of the service that it needs.
        workers: Processes of each, beside their parent where they are more than one.
        cycles: How often it is dealt in the full form.
        every_lane: Whether a producer has recovered only when its events and its late rows have, each on its stream.
        small_disk_of: Who is to lie on a small disk of its own: "database", "spool", or nobody.
        spools: Whether producers have a spool, and what is in it counts as promised.
    """

    name: str
    what: str
    deal: Deal
    replicas: int = 1
    workers: int = 1
    cycles: int = 20
    every_lane: bool = False
    small_disk_of: str = ""
    spools: bool = False


@asynccontextmanager
async def kill_service(system: System, random: Random) -> AsyncIterator[float]:
    """Kill -9."""
    replica = random.choice(system.replicas)
    async with replica.lock:
        moment = time.monotonic()
        replica.process.kill()
        await replica.restart()
    yield moment


@asynccontextmanager
async def kill_worker(system: System, random: Random) -> AsyncIterator[float]:
    """Kill -9 of the worker that most producers are connected to; its parent starts another."""
    replica = random.choice(system.replicas)
    async with replica.lock:
        port = int(replica.process.grpc.rpartition(":")[2])
        workers = replica.workers
        busiest = max(
            workers, key=lambda worker: sum(each.laddr.port == port for each in worker.net_connections("tcp"))
        )
        moment = time.monotonic()
        busiest.kill()
    yield moment


@asynccontextmanager
async def kill_parent(system: System, random: Random) -> AsyncIterator[float]:
    """Kill -9 of the parent of the workers, who have to go with it."""
    replica = random.choice(system.replicas)
    async with replica.lock:
        workers = replica.workers
        moment = time.monotonic()
        replica.process.kill()
        _, left = await asyncio.to_thread(psutil.wait_procs, workers, WORKERS_END_S)
        if left:
            system.complaints.append(f"{len(left)} workers outlived their parent")
        await replica.restart()
    yield moment


def kill_at(step: str) -> Deal:
    """Kill -9 of itself at a step."""

    @asynccontextmanager
    async def deal(system: System, random: Random) -> AsyncIterator[float]:
        replica = system.busy_replica
        async with replica.lock:
            replica.arm(step, signal.SIGKILL, random.randrange(1, MOST_PASSES))
            with suppress(TimeoutError):
                await replica.process.ended(STEP_COMES_S)
            moment = time.monotonic()
            if replica.process.process.returncode is None:
                replica.process.kill()
            await replica.restart()
        yield moment

    return deal


@asynccontextmanager
async def stop_service(system: System, random: Random) -> AsyncIterator[float]:
    """SIGTERM, then start it again."""
    moment = time.monotonic()
    await _stopped_and_started(system, random.choice(system.replicas))
    yield moment


@asynccontextmanager
async def roll_replicas(system: System, random: Random) -> AsyncIterator[float]:
    """SIGTERM to one after the other, each back before the next."""
    moment = time.monotonic()
    for replica in random.sample(system.replicas, len(system.replicas)):
        await _stopped_and_started(system, replica)
        await system.flows()
    yield moment


async def _stopped_and_started(system: System, replica: Replica) -> None:
    async with replica.lock:
        began = time.monotonic()
        replica.process.signal(signal.SIGTERM)
        code = await replica.process.ended()
        if (took_s := time.monotonic() - began) > GRACE_S + 1 or code:
            system.complaints.append(f"a replica that was told to stop ended after {took_s:.1f} s with {code}")
        await replica.restart()


@asynccontextmanager
async def freeze_service(system: System, random: Random) -> AsyncIterator[float]:
    """SIGSTOP, and a while later SIGCONT."""
    replica = random.choice(system.replicas)
    async with replica.lock:
        replica.process.signal(signal.SIGSTOP)
        await asyncio.sleep(random.uniform(0.5, 4.0))
        replica.process.signal(signal.SIGCONT)
    yield time.monotonic()


@asynccontextmanager
async def freeze_mid_copy(system: System, random: Random) -> AsyncIterator[float]:
    """SIGSTOP of itself with half of a COPY sent, until others have taken its producers over."""
    replica = system.busy_replica
    async with replica.lock:
        replica.arm("mid_copy", signal.SIGSTOP, random.randrange(1, MOST_PASSES))
        process = psutil.Process(replica.process.process.pid)
        async with asyncio.timeout(PATIENCE_S):
            while process.status() != psutil.STATUS_STOPPED:
                await asyncio.sleep(0.01)
        try:
            yield time.monotonic()
        finally:
            replica.process.signal(signal.SIGCONT)
        await system.flows()


@asynccontextmanager
async def kill_backend(system: System, random: Random) -> AsyncIterator[float]:
    """Kill -9 of a backend: PostgreSQL ends all others, and recovers from its WAL."""
    async with system.database_lock:
        pids = await _ask(system, "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'headrace/%'")
        moment = time.monotonic()
        if pids:
            with suppress(ProcessLookupError):
                os.kill(random.choice(pids), signal.SIGKILL)
    yield moment


@asynccontextmanager
async def terminate_backends(system: System, _: Random) -> AsyncIterator[float]:
    """pg_terminate_backend for all connections of the service."""
    async with system.database_lock:
        moment = time.monotonic()
        await _ask(
            system, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'headrace/%'"
        )
    yield moment


async def _ask(system: System, question: str) -> list[int]:
    """Ask the database; it may be recovering from another fault."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                connection = await asyncpg.connect(system.url)
                try:
                    return [row[0] for row in await connection.fetch(question)]
                finally:
                    connection.terminate()
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.05)


@asynccontextmanager
async def kill_postmaster(system: System, _: Random) -> AsyncIterator[float]:
    """Kill -9 of the postmaster, which is started again."""
    async with system.database_lock:
        moment = time.monotonic()
        await system.cluster.kill_postmaster()
        await system.cluster.restart()
    yield moment


@asynccontextmanager
async def freeze_database(system: System, random: Random) -> AsyncIterator[float]:
    """SIGSTOP of all of the database's processes, and a while later SIGCONT."""
    async with system.database_lock:
        system.cluster.pause()
        try:
            await asyncio.sleep(random.uniform(0.5, 4.0))
        finally:
            system.cluster.resume()
    yield time.monotonic()


@asynccontextmanager
async def kill_at_commit(system: System, _: Random) -> AsyncIterator[float]:
    """Kill -9 of the service while its COMMIT is on the way and never arrives; an ack sent too early has arrived."""
    replica = system.busy_replica
    async with replica.lock:
        await _next_commit(replica.line, replica.line.black_hole)
        await asyncio.sleep(EARLY_ACK_S)
        moment = time.monotonic()
        replica.process.kill()
        await replica.process.ended()
        replica.line.watch = None
        replica.line.reset()
        replica.line.heal()
        await replica.restart()
    yield moment


async def _next_commit(proxy: TcpProxy, then: Callable[[], object], cut: Cut | None = None) -> None:
    """Do something, and cut or not, as the service's next COMMIT goes by."""
    happened = asyncio.Event()

    def watch(going: Direction, data: bytes) -> Cut | None:
        if happened.is_set() or going is not Direction.TO_SERVER or b"COMMIT;" not in data:
            return None
        happened.set()
        then()
        return cut

    proxy.watch = watch
    async with asyncio.timeout(PATIENCE_S):
        await happened.wait()


@asynccontextmanager
async def stall_database(system: System, _: Random) -> AsyncIterator[float]:
    """SIGSTOP of the database for minutes, producers pushing all the while: nobody may grow beyond bounds."""
    before = [_resident_bytes(replica) for replica in system.replicas]
    async with system.database_lock:
        system.cluster.pause()
        try:
            await asyncio.sleep(STALL_S)
            for replica, bytes_before in zip(system.replicas, before, strict=True):
                if (grown := _resident_bytes(replica) - bytes_before) > MOST_GROWN_BYTES:
                    system.complaints.append(f"a replica grew by {grown >> 20} MiB while the database stood still")
        finally:
            system.cluster.resume()
    yield time.monotonic()


def _resident_bytes(replica: Replica) -> int:
    return psutil.Process(replica.process.process.pid).memory_info().rss


@asynccontextmanager
async def fill_disk(system: System, random: Random) -> AsyncIterator[float]:
    """No byte is left on the database's disk for a while; PostgreSQL may well give up, and is then started again."""
    async with system.database_lock:
        assert system.cluster.disk is not None
        await _full(system.cluster.disk, random.uniform(2.0, 6.0))
        moment = time.monotonic()
        await system.cluster.restart()
    yield moment


@asynccontextmanager
async def fill_spool(system: System, random: Random) -> AsyncIterator[float]:
    """No byte is left for the spools for a while, in most of which the service cannot be reached either."""
    assert system.spool is not None
    is_alone = random.random() < 0.7
    if is_alone:
        for replica in system.replicas:
            replica.door.black_hole()
    await _full(system.spool.parent, random.uniform(2.0, 6.0))
    for replica in system.replicas:
        replica.door.heal()
    yield time.monotonic()


async def _full(disk: Path, seconds: float) -> None:
    """Leave no byte on a disk for so long."""
    filling = disk / "filling"
    with filling.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(1 << 20)):
            pass
    with filling.open("ab", buffering=0) as file, suppress(OSError):
        while file.write(b"."):  # what is left is less than a piece
            pass
    try:
        await asyncio.sleep(seconds)
    finally:
        filling.unlink()


@asynccontextmanager
async def kill_producer(system: System, random: Random) -> AsyncIterator[float]:
    """Kill -9 of a producer; another begins."""
    victim = system.producers.pop(random.randrange(len(system.producers)))
    moment = time.monotonic()
    await victim.kill()
    await system.add_producer()
    yield moment


@asynccontextmanager
async def kill_spooling_producer(system: System, random: Random) -> AsyncIterator[float]:
    """Kill -9 of a producer, often while it can reach nobody; the next one sends what is in its spool."""
    is_alone = random.random() < 0.7
    if is_alone:
        for replica in system.replicas:
            replica.door.black_hole()
        await asyncio.sleep(random.uniform(0.1, 1.0))
    victim = system.producers.pop(random.randrange(len(system.producers)))
    moment = time.monotonic()
    await victim.kill()
    for replica in system.replicas:
        replica.door.heal()
    await system.add_producer()
    yield moment


def cut_at_commit(cut: Cut) -> Deal:
    """The service's connection is reset as it sends COMMIT: before it arrives, or after, without an answer."""

    @asynccontextmanager
    async def deal(system: System, _: Random) -> AsyncIterator[float]:
        await _next_commit(system.busy_replica.line, lambda: None, cut)
        yield time.monotonic()

    return deal


Side = Callable[[Replica], TcpProxy]


def door(replica: Replica) -> TcpProxy:
    """Between producers and service."""
    return replica.door


def line(replica: Replica) -> TcpProxy:
    """Between service and database."""
    return replica.line


def reset(side: Side) -> Deal:
    """Break every connection with an RST."""

    @asynccontextmanager
    async def deal(system: System, _: Random) -> AsyncIterator[float]:
        moment = time.monotonic()
        for replica in system.replicas:
            side(replica).reset()
        yield moment

    return deal


def half_close(side: Side) -> Deal:
    """End one direction of every connection."""

    @asynccontextmanager
    async def deal(system: System, random: Random) -> AsyncIterator[float]:
        moment = time.monotonic()
        direction = random.choice(list(Direction))
        for replica in system.replicas:
            side(replica).half_close(direction)
        yield moment

    return deal


def black_hole(side: Side, shortest_s: float, longest_s: float) -> Deal:
    """Swallow everything for a while."""

    @asynccontextmanager
    async def deal(system: System, random: Random) -> AsyncIterator[float]:
        proxies = [side(replica) for replica in system.replicas]
        for proxy in proxies:
            proxy.black_hole()
        try:
            await asyncio.sleep(random.uniform(shortest_s, longest_s))
        finally:
            for proxy in proxies:
                proxy.heal()
        yield time.monotonic()

    return deal


def delay(side: Side) -> Deal:
    """Hold every piece of data for a while."""

    @asynccontextmanager
    async def deal(system: System, random: Random) -> AsyncIterator[float]:
        proxies = [side(replica) for replica in system.replicas]
        moment = time.monotonic()
        for proxy in proxies:
            proxy.delay_s = random.uniform(0.05, 0.5)
        try:
            await asyncio.sleep(random.uniform(0.5, 2.0))
        finally:
            for proxy in proxies:
                proxy.delay_s = 0.0
        yield moment

    return deal


SINGLE = (
    Fault("kill-service", "kill -9 of the service at any moment", kill_service, cycles=60),
    *(Fault(f"kill-service-{step}", f"kill -9 of the service at `{step}`", kill_at(step), cycles=20) for step in STEPS),
    Fault(
        "kill-service-at-commit", "kill -9 of the service, its COMMIT held back on the way", kill_at_commit, cycles=20
    ),
    Fault("kill-backend", "kill -9 of a database backend", kill_backend, cycles=50),
    Fault("kill-postmaster", "kill -9 of the postmaster", kill_postmaster, cycles=50),
    Fault("terminate-backends", "the service's database sessions terminated", terminate_backends),
    Fault("lost-before-commit", "connection reset, COMMIT never arrives", cut_at_commit(Cut.BEFORE)),
    Fault("lost-after-commit", "connection reset, COMMIT arrives, its answer does not", cut_at_commit(Cut.AFTER)),
    Fault("kill-producer", "kill -9 of a producer, without a spool", kill_producer),
    Fault("stop-service", "SIGTERM, then a new process", stop_service),
    Fault("freeze-service", "SIGSTOP of the service, 0.5–4 s", freeze_service),
    Fault("freeze-database", "SIGSTOP of the database, 0.5–4 s", freeze_database),
    *(
        fault
        for side, place in ((door, "producer ↔ service"), (line, "service ↔ database"))
        for fault in (
            Fault(f"reset-{side.__name__}", f"{place}: connections reset", reset(side)),
            Fault(f"half-close-{side.__name__}", f"{place}: one direction closed", half_close(side)),
            Fault(f"delay-{side.__name__}", f"{place}: 50–500 ms on every packet", delay(side)),
            Fault(f"black-hole-{side.__name__}", f"{place}: silence for 1–4 s", black_hole(side, 1.0, 4.0)),
        )
    ),
)
LONG = (
    Fault("long-black-hole-door", "producer ↔ service: silence for 60 s", black_hole(door, 60.0, 60.0), cycles=3),
    Fault("long-black-hole-line", "service ↔ database: silence for 60 s", black_hole(line, 60.0, 60.0), cycles=3),
)
DEAR = (
    Fault(
        "kill-spooling-producer", "kill -9 of a producer with a spool", kill_spooling_producer, cycles=200, spools=True
    ),
    Fault("stall-database", "the database stands still for 5 minutes", stall_database, cycles=1),
    Fault(
        "stall-database-spools",
        "the database stands still for 5 minutes, producers have spools",
        stall_database,
        cycles=1,
        spools=True,
    ),
    Fault("fill-disk", "the database's disk full, 2–6 s", fill_disk, cycles=10, small_disk_of="database"),
    Fault("fill-spool", "the spools' disk full, 2–6 s", fill_spool, cycles=10, small_disk_of="spool", spools=True),
)
REPLICATED = (
    Fault("roll-replicas", "rolling restart of two replicas by SIGTERM", roll_replicas, replicas=2, cycles=25),
    Fault(
        "freeze-mid-copy",
        "SIGSTOP mid-COPY, another replica takes over",
        freeze_mid_copy,
        replicas=2,
        cycles=10,
        every_lane=True,
    ),
)

WITH_WORKERS = (
    Fault("kill-worker", "kill -9 of one worker of two, which their parent replaces", kill_worker, workers=2),
    Fault("kill-parent", "kill -9 of the parent of two workers", kill_parent, workers=2),
    Fault("stop-parent", "SIGTERM to the parent of two workers, then a new one", stop_service, workers=2),
)


@asynccontextmanager
async def compound(system: System, random: Random) -> AsyncIterator[float]:
    """Two or three of the single ones, overlapping."""

    async def one(fault: Fault, after_s: float, own: Random) -> float:
        await asyncio.sleep(after_s)
        async with fault.deal(system, own) as moment:
            return moment

    chosen = random.sample(SINGLE, random.randrange(2, 4))
    async with asyncio.TaskGroup() as tasks:
        dealt = [tasks.create_task(one(fault, random.uniform(0.0, 1.0), Random(random.random()))) for fault in chosen]
    yield max(task.result() for task in dealt)


COMPOUND = Fault(
    "compound", "two or three of the above at the same time, two replicas", compound, replicas=2, cycles=150
)
FAULTS = {fault.name: fault for fault in (*SINGLE, *LONG, *DEAR, *REPLICATED, *WITH_WORKERS, COMPOUND)}
