"""The running database process: started in its own session, found again after our death, signalled to its end.

Whether it lives is told by its pid file together with the working folder of that process, since process ids are reused
(in a restarted container nearly always). The process may be our child or an earlier service's: both are watched and
stopped the same way.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from headrace_server.storage.embedded.account import Account
from headrace_server.storage.embedded.command import spawn
from headrace_server.storage.embedded.errors import StartFailedError, StopFailedError, SurvivorsError
from headrace_server.storage.embedded.installation import Installation
from headrace_server.storage.embedded.layout import DataDirectory

POLL_S = 0.05
# After SIGQUIT nothing is flushed any more, after SIGKILL nothing is even asked.
HARD_STOP_S = 10.0
# What PostgreSQL says when backends of a killed postmaster have not noticed yet.
SURVIVORS = "pre-existing shared memory block"


@dataclass(frozen=True)
class Pidfile:
    """What `postmaster.pid` says.

    Attributes:
        pid: The process.
        port: Its TCP port; None while it has not said so yet.
        ready: Whether it takes connections.
    """

    pid: int
    port: int | None
    ready: bool


def read_pidfile(cluster: Path) -> Pidfile | None:
    """Return what `postmaster.pid` says, whether or not that process lives; None when there is none."""
    try:
        lines = [line.strip() for line in (cluster / "postmaster.pid").read_text().splitlines()]
        return Pidfile(
            pid=int(lines[0]),
            port=int(lines[3]) if len(lines) > 3 and lines[3] else None,
            ready=len(lines) > 7 and lines[7] == "ready",
        )
    except (OSError, ValueError, IndexError):
        return None


class Postmaster:
    """The process that serves one cluster folder, whoever started it."""

    def __init__(self, directory: DataDirectory) -> None:
        self._directory = directory
        self._child: subprocess.Popen[bytes] | None = None

    def pid(self) -> int | None:
        """Return the living postmaster's process id, or None."""
        if self._child is not None and self._child.poll() is not None:
            self._child = None
        found = read_pidfile(self._directory.cluster)
        if found is not None and _serves(found.pid, self._directory.cluster):
            return found.pid
        # Just started: it has not written its file yet.
        return self._child.pid if self._child is not None else None

    def pidfile(self) -> Pidfile | None:
        """Return what the pid file says, if the process that it names lives."""
        found = read_pidfile(self._directory.cluster)
        return found if found is not None and found.pid == self.pid() else None

    def start(self, installation: Installation, account: Account | None) -> None:
        """Start the process; it goes on living when we die, however we die.

        Raises:
            CommandError: It cannot be run.
        """
        left = read_pidfile(self._directory.cluster)
        if left is not None and _exists(left.pid):
            # The dead postmaster's process id went to somebody else, for whom PostgreSQL would give way. That it is
            # dead was seen by the caller, who owns the data directory; surviving backends PostgreSQL finds itself.
            (self._directory.cluster / "postmaster.pid").unlink(missing_ok=True)
        log = os.open(self._directory.start_log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            self._child = spawn(
                [
                    *(installation.programs / "postgres", "-D", self._directory.cluster),
                    *("-c", f"config_file={self._directory.configuration}"),
                ],
                account=account,
                stdout=log,
            )
        finally:
            os.close(log)

    async def wait_ready(self, timeout_s: float) -> None:
        """Wait until it takes connections.

        Raises:
            StartFailedError: It ended, or was not ready in time; with the end of what it said.
            SurvivorsError: It ended because processes of the one before it still run.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while (found := self.pidfile()) is None or not found.ready:
                    if self.pid() is None:
                        words = self.last_words()
                        kind = SurvivorsError if SURVIVORS in words else StartFailedError
                        raise kind(f"the database ended while it was starting:\n{words}")
                    await asyncio.sleep(POLL_S)
        except TimeoutError as error:
            raise StartFailedError(
                f"the database (process {self.pid()}) was not ready within {timeout_s:g} s:\n{self.last_words()}"
            ) from error

    async def stop(self, timeout_s: float) -> None:
        """End it: politely, within `timeout_s`; then without a last checkpoint; then by force. Nothing when it is dead.

        Raises:
            StopFailedError: It lives on.
        """
        for number, patience_s in (
            (signal.SIGINT, timeout_s),
            (signal.SIGQUIT, HARD_STOP_S),
            (signal.SIGKILL, HARD_STOP_S),
        ):
            if (pid := self.pid()) is None:
                return
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return
            if await self._gone(pid, patience_s):
                return
        raise StopFailedError(f"the database (process {self.pid()}) in {self._directory.folder} does not end")

    def last_words(self) -> str:
        """Return the end of what the database said last, for an error's text."""
        logs = [*(self._directory.cluster / "log").glob("*.log"), self._directory.start_log]
        written = sorted((log for log in logs if log.exists()), key=lambda log: log.stat().st_mtime)
        return "\n".join(line for log in written[-2:] for line in _last_lines(log))

    async def _gone(self, pid: int, patience_s: float) -> bool:
        # The pid file goes before the process does, and with the process its port.
        try:
            async with asyncio.timeout(patience_s):
                while self.pid() is not None or _serves(pid, self._directory.cluster):  # noqa: ASYNC110 — no child of ours
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            return False
        return True


def _serves(pid: int, cluster: Path) -> bool:
    """Tell whether a process is the postmaster of a cluster: a postmaster's working folder is its cluster."""
    if not Path("/proc/self/cwd").exists():
        return _exists(pid)
    try:
        # Of a dead process that nobody waited for, the link cannot be read: it counts as gone.
        return Path(f"/proc/{pid}/cwd").samefile(cluster)
    except OSError:
        return False


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _last_lines(log: Path) -> list[str]:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        return file.read().decode(errors="replace").splitlines()[-8:]
