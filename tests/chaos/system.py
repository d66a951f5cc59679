"""What faults befall: a database, replicas of the service behind proxies, and producers that log all the while.

    producers ═══ door (proxy) ═══ replica ═══ line (proxy) ═══ database

Both proxies stay where they are while what is behind them dies and comes back, so the producers' addresses and the
database's URL are the same all through a run.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from math import inf
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil

import headrace
from chaos.oracle import Oracle
from chaos.rows import MODELS, SCHEMA, UNARY
from support.service import ServiceProcess, running_service
from support.tcp_proxy import TcpProxy, tcp_proxy
from support.timescale import TimescaleCluster

TESTS = Path(__file__).parents[1]
LANES = ("events", "late")
GRACE_S = 5.0
PATIENCE_S = 90.0  # whatever should happen after a fault has happened by then, or the run has failed


class Replica:
    """A replica, in whichever process it lives at the moment.

    Attributes:
        door: Between it and its producers.
        line: Between it and its database.
        process: The process.
        lock: Held by whoever ends the process, until it is back.
    """

    process: ServiceProcess

    def __init__(self, door: TcpProxy, line: TcpProxy, database_url: str, log: Path, workers: int = 1) -> None:
        self.door = door
        self.line = line
        self.lock = asyncio.Lock()
        self._log = log
        self._workers = workers
        url = urlsplit(database_url)
        self._url = f"postgresql://{url.username}@127.0.0.1:{line.port}{url.path}?sslmode=disable"
        self._life = AsyncExitStack()

    async def start(self) -> None:
        """Bring it up, again and again while its database is away, as a supervisor does; returns when it serves."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                running = running_service(
                    self._url,
                    *("--workers", str(self._workers)),
                    module="chaos.armed_service",
                    cwd=TESTS,
                    tell=self._note,
                    HEADRACE_DRAIN_GRACE_S=f"{GRACE_S:g}",
                )
                try:
                    self.process = await self._life.enter_async_context(running)
                    break
                except AssertionError:  # it ended before it served
                    await asyncio.sleep(0.2)
        host, _, port = self.process.grpc.rpartition(":")
        self.door.upstream = (host, int(port))

    def _note(self, logs: str) -> None:
        with self._log.open("a") as file:
            file.write(logs + "\n")

    async def restart(self) -> None:
        """Bring it up again after its end."""
        await self.process.ended()
        await self.end()
        await self.start()

    async def end(self) -> None:
        """Be rid of the process."""
        await self._life.aclose()

    @property
    def workers(self) -> list[psutil.Process]:
        """Its workers, if it has any."""
        return psutil.Process(self.process.process.pid).children()

    def arm(self, step: str, number: signal.Signals, passes: int) -> None:
        """Have it strike itself when it reaches the step for the n-th time from now."""
        stdin = self.process.process.stdin
        assert stdin is not None
        stdin.write(f"{step} {number.value} {passes}\n".encode())


class ProducerProcess:
    """A producer, seen from outside.

    Attributes:
        acks: By lane, when rows were acked, and when the oldest of them had been logged.
    """

    def __init__(self, process: asyncio.subprocess.Process, changed: asyncio.Condition) -> None:
        self.process = process
        self.acks: dict[str, list[tuple[float, float]]] = {lane: [] for lane in LANES}
        self._changed = changed
        self._following = asyncio.create_task(self._follow())

    def has_acked_since(self, moment: float, *, every_lane: bool = False) -> float | None:
        """When rows logged after the moment were first acked: of either lane, or when the last lane had its first."""
        firsts = [next((acked for acked, logged in acks if logged > moment), inf) for acks in self.acks.values()]
        when = max(firsts) if every_lane else min(firsts)
        return None if when == inf else when

    async def finish(self) -> int:
        """Have it close its client; returns its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return await self.ended()

    async def kill(self) -> None:
        """Kill -9."""
        self.process.kill()
        await self.ended()

    async def ended(self) -> int:
        """Wait for its end."""
        async with asyncio.timeout(PATIENCE_S + 60):
            await self._following
            return await self.process.wait()

    async def _follow(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            _, lane, acked, logged = line.decode().split()
            async with self._changed:
                self.acks[lane].append((float(acked), float(logged)))
                del self.acks[lane][:-1_000]
                self._changed.notify_all()


class System:
    """Everything together.

    Attributes:
        cluster: The database.
        url: URL of the run's database, past all proxies.
        replicas: The service.
        producers: Those that live.
        complaints: What must never happen, and did.
        spool: Where producers have their spools, if they have any.
    """

    def __init__(
        self,
        cluster: TimescaleCluster,
        url: str,
        replicas: Sequence[Replica],
        folder: Path,
        seed: str,
        *,
        spool: Path | None,
    ) -> None:
        self.cluster = cluster
        self.url = url
        self.replicas = replicas
        self.producers: list[ProducerProcess] = []
        self.complaints: list[str] = []
        self.spool = spool
        self.database_lock = asyncio.Lock()
        self._folder = folder
        self._seed = seed
        self._names = count(1)
        self._changed = asyncio.Condition()

    async def add_producer(self) -> None:
        """Start one more producer."""
        name = f"p{next(self._names)}"
        addresses = ",".join(f"127.0.0.1:{replica.door.port}" for replica in self.replicas)
        oracle = str(self._folder / f"{name}.oracle")
        with (self._folder / "producers.log").open("a") as log:
            process = await asyncio.create_subprocess_exec(
                *(
                    sys.executable,
                    "-m",
                    "chaos.producer",
                    addresses,
                    oracle,
                    name,
                    f"{self._seed} {name}",
                    *([str(self.spool)] if self.spool else []),
                ),
                cwd=TESTS,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        self.producers.append(ProducerProcess(process, self._changed))

    async def flows(self) -> None:
        """Wait until every producer has had an ack of rows that it logged after now."""
        moment = time.monotonic()
        await self._until(lambda: all(producer.has_acked_since(moment) for producer in self.producers))

    async def recovers(self, since: float, *, every_lane: bool) -> tuple[float, float]:
        """Wait for acks of rows that were logged after the moment; returns how long the first and the last took.

        Args:
            since: The moment.
            every_lane: Whether a producer has recovered only when its events and its late rows have.
        """

        def acked() -> list[float | None]:
            return [producer.has_acked_since(since, every_lane=every_lane) for producer in self.producers]

        await self._until(lambda: None not in acked())
        moments = [moment for moment in acked() if moment is not None]
        return min(moments) - since, max(moments) - since

    @property
    def busy_replica(self) -> Replica:
        """The replica with the most connections."""
        return max(self.replicas, key=lambda replica: replica.door.links)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(condition)

    async def finish(self) -> list[Oracle]:
        """Have every producer close its client; returns what all producers of the run knew."""
        codes = await asyncio.gather(*(producer.finish() for producer in self.producers))
        oracles = [Oracle.read(path) for path in sorted(self._folder.glob("*.oracle"))]
        self.complaints += [f"a producer ended with {code}" for code in codes if code]
        return oracles


@asynccontextmanager
async def running_system(
    cluster: TimescaleCluster,
    folder: Path,
    *,
    seed: str,
    replicas: int,
    producers: int,
    workers: int = 1,
    spool: Path | None = None,
) -> AsyncIterator[System]:
    """Run everything on a new database; rows flow when the block begins."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(cluster.fresh_database())
        query = parse_qs(urlsplit(url).query)
        socket = f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}"
        members = []
        for _ in range(replicas):
            line = await stack.enter_async_context(tcp_proxy(socket))
            door = await stack.enter_async_context(tcp_proxy(("127.0.0.1", 0)))
            replica = Replica(door, line, url, folder / "services.log", workers)
            stack.push_async_callback(replica.end)
            await replica.start()
            members.append(replica)
        await asyncio.to_thread(_register, f"127.0.0.1:{members[0].door.port}")
        system = System(cluster, url, members, folder, seed, spool=spool)
        try:
            for _ in range(producers):
                await system.add_producer()
            await system.flows()
            yield system
        finally:
            for producer in system.producers:
                if producer.process.returncode is None:
                    await producer.kill()


def _register(address: str) -> None:
    with headrace.connect(address) as client:
        for name, identity in MODELS.items():
            client.register(SCHEMA, name=name, identity=identity)
        client.register(SCHEMA, name=UNARY, identity=headrace.Identity.APPEND)
