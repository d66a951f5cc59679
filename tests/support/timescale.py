"""A real TimescaleDB for the tests: one throwaway cluster a session, one new database a test.

It is the embedded database itself, on the cached runtime, with fsync on (promises are tested against it) and without
TimescaleDB's background workers, which would hold connections and change data behind a test's back. A small reaper
process ends it and removes its folder even when the test session is killed.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import asyncpg
import psutil

from headrace_server.storage.embedded import EmbeddedDatabase, EmbeddedDatabaseError, EmbeddedSettings
from headrace_server.storage.migrate import migrate
from headrace_server.storage.pool import connect

# What new databases are copied from: with the extension alone, and with the service's own tables as well, which takes a
# fifth of a second less than to make these anew for each of many hundred tests.
BLANK, MIGRATED = "blank", "migrated"
SERVER_SETTINGS = {
    "max_connections": "300",
    "shared_buffers": "128MB",
    "timescaledb.max_background_workers": "0",
}

# Reads until the session that holds the other end of its input is gone, however it went.
REAPER = """
import os, pathlib, shutil, signal, sys, time
sys.stdin.read()
folder = pathlib.Path(sys.argv[1])
try:
    os.kill(int((folder / "data/cluster/postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
except (OSError, ValueError, IndexError):
    pass
for _ in range(100):
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        break
    time.sleep(0.1)
"""


def reachable_folder(disk: Path | None = None) -> Path:
    """Make a new folder that the database's account can pass through; pytest's own are closed to it under root."""
    folder = Path(tempfile.mkdtemp(prefix="headrace-tests-", dir=disk))
    folder.chmod(0o711)
    return folder


class TimescaleCluster:
    """The cluster of one test session, with the faults that a test may do to it.

    Args:
        disk: Where its data lie. Default: where temporary files do.
    """

    def __init__(self, disk: Path | None = None) -> None:
        self.disk = disk
        self._folder = reachable_folder(disk)
        self._reaper = subprocess.Popen(
            [sys.executable, "-I", "-c", REAPER, str(self._folder)], stdin=subprocess.PIPE, start_new_session=True
        )
        self._numbers = count(1)
        self.database = EmbeddedDatabase(
            EmbeddedSettings(data_dir=self._folder / "data", ballast_bytes=0, server_settings=SERVER_SETTINGS)
        )

    async def start(self) -> None:
        """Bring the cluster up and make the templates that new databases are copied from."""
        await self.database.start()
        await self.execute(f"CREATE DATABASE {BLANK} TEMPLATE headrace")
        await self.execute(f"CREATE DATABASE {MIGRATED} TEMPLATE headrace")
        connection = await connect(self.url_of(MIGRATED), instance="template")
        await migrate(connection)
        await connection.close()
        for template in (BLANK, MIGRATED):
            await self.execute(f"ALTER DATABASE {template} ALLOW_CONNECTIONS false")

    async def stop(self) -> None:
        """End the cluster and remove everything."""
        try:
            await self.database.stop()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
            assert self._reaper.stdin is not None
            self._reaper.stdin.close()
            self._reaper.wait(timeout=10)

    @asynccontextmanager
    async def fresh_database(self, template: str = MIGRATED) -> AsyncIterator[str]:
        """Yield the URL of a new database; it is dropped afterwards, open connections or not."""
        name = f"test_{next(self._numbers)}"
        await self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url_of(name)
        finally:
            self.resume()
            await self.restart()
            await self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def url_of(self, name: str) -> str:
        """Return a database's URL over the unix socket."""
        return self.database.url.replace("/headrace?", f"/{name}?")

    async def execute(self, statement: str) -> None:
        """Run one statement outside the tests' databases."""
        connection = await asyncpg.connect(self.url_of("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def kill_postmaster(self) -> None:
        """Kill -9 the postmaster and see it gone; its backends follow by themselves a moment later."""
        if (pid := self.database.pid) is None:
            return
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            while self.database.pid == pid:
                await asyncio.sleep(0.01)

    async def restart(self) -> None:
        """Bring the cluster back when it is dead; returns when it takes connections."""
        async with asyncio.timeout(30):
            while True:
                try:
                    await self.database.revive()
                except EmbeddedDatabaseError:  # backends of the killed one are on their way out still
                    await asyncio.sleep(0.05)
                else:
                    return

    def pause(self) -> None:
        """Freeze every process of the database: it answers nobody, and no connection breaks."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        if (pid := self.database.pid) is None:
            return
        try:
            postmaster = psutil.Process(pid)
            processes = [postmaster, *postmaster.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for process in processes:
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                continue
