"""A worker as its parent sees it: a process, what it reports, and the signals it is sent.

A fresh interpreter, not a fork: gRPC's and Arrow's threads do not survive one. In a session of its own, so that a
Ctrl-C at the terminal reaches the parent alone, which passes it on once; twice would force the end.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from headrace_server.workers.assignment import Assignment
from headrace_server.workers.report import Report

# -P: as the `headrace` command, nothing is imported from the working folder.
COMMAND = (sys.executable, "-P", "-m", "headrace_server", "worker")


class NoWorkerServesError(Exception):
    """Workers end before they serve; the text is what the last one said of it."""


class Worker:
    """One process, from its start to its end.

    Attributes:
        serves: Whether it is ready for calls, or was.
        failure: What it said kept it from serving.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.serves = False
        self.failure = ""

    @staticmethod
    async def start(assignment: Assignment) -> Worker:
        """Start a worker and tell it its part."""
        process = await asyncio.create_subprocess_exec(
            *COMMAND, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True
        )
        assert process.stdin is not None  # noqa: S101 - a pipe
        process.stdin.write(assignment.line())
        return Worker(process)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def follow(self, on_serving: Callable[[], None]) -> int:
        """Read its reports until it has ended; returns its exit code, negative where a signal ended it.

        However this ends, so has the process.

        Args:
            on_serving: Called once it serves.
        """
        assert self._process.stdout is not None  # noqa: S101 - a pipe
        try:
            async for line in self._process.stdout:
                report = Report.read(line)
                self.failure = report.failure or self.failure
                if report.serves:
                    self.serves = True
                    on_serving()
            return await self._process.wait()
        finally:
            self.signal(signal.SIGKILL)
            await self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)
