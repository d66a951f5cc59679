"""Where everything runs side by side: one embedded TimescaleDB with its service, in a folder that is thrown away.

In: nothing but a free disk. Out: the service's address, the database's URL, an SDK client, an event loop for whoever
needs one, and a meter of processor time. All parts of a run share one arena, so that every figure is of one database.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import psutil
import uvloop

import headrace
from benchmarks.cpu import CpuMeter
from benchmarks.quiet import Patience
from benchmarks.service import Service, serving
from headrace_server.storage.embedded import EmbeddedSettings, locate

Returned = TypeVar("Returned")

COUNTED_WITHIN_S, LOOK_S = 600.0, 0.25


@dataclass(frozen=True)
class Arena:
    """The running pieces.

    Attributes:
        folder: For whatever is to be thrown away with the arena.
        service: The service.
        database_url: Over the unix socket, as superuser.
        postmaster: The database's first process.
        client: The SDK's client, for models and for publishing.
        meter: Processor time.
        patience: How long the run may still wait for a quiet machine.
    """

    folder: Path
    service: Service
    database_url: str
    postmaster: psutil.Process
    client: headrace.Client
    meter: CpuMeter
    patience: Patience
    _runner: asyncio.Runner

    def wait(self, work: Coroutine[Any, Any, Returned]) -> Returned:
        """Run asynchronous work on the arena's own loop; gRPC wants one loop a process."""
        return self._runner.run(work)

    def wait_until_counted(self) -> None:
        """Wait until the service has counted what it stored: roll-ups are not to go on in somebody else's turn.

        Raises:
            TimeoutError: It does not come to an end.
        """
        deadline = time.monotonic() + COUNTED_WITHIN_S
        while self.query("SELECT EXISTS (SELECT FROM headrace.touched_hours)"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the service has not counted what it stored within {COUNTED_WITHIN_S:g} s")
            time.sleep(LOOK_S)

    def query(self, statement: str, *arguments: object) -> Any:
        """Return the first value of a statement's first row."""

        async def ask() -> Any:
            connection = await asyncpg.connect(self.database_url)
            try:
                return await connection.fetchval(statement, *arguments, timeout=300)
            finally:
                await connection.close()

        return self.wait(ask())

    def execute(self, statement: str) -> None:
        """Run statements outside any transaction."""

        async def run() -> None:
            connection = await asyncpg.connect(self.database_url)
            try:
                await connection.execute(statement, timeout=300)
            finally:
                await connection.close()

        self.wait(run())


@contextmanager
def arena(patience_s: float = 60.0) -> Iterator[Arena]:
    """Build an arena, and take it down.

    Args:
        patience_s: Seconds that may be spent waiting for a quiet machine.
    """
    folder = Path(tempfile.mkdtemp(prefix="headrace-bench-"))
    folder.chmod(0o711)  # the database's account has to pass through
    data = folder / "data"
    try:
        with serving(folder / "service.log", "--data-dir", str(data), HEADRACE_DATABASE_BALLAST_BYTES="0") as service:
            place = locate(EmbeddedSettings(data_dir=data))
            if place is None:
                raise RuntimeError("the embedded database is not where the service was told to make it")
            postmaster = psutil.Process(int((data / "cluster" / "postmaster.pid").read_text().split()[0]))
            with (
                headrace.connect(service.grpc) as client,
                asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
            ):
                meter, patience = CpuMeter(postmaster.pid), Patience(patience_s)
                yield Arena(folder, service, place.url, postmaster, client, meter, patience, runner)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
