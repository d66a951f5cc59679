"""The workers of a service: each kept running, all stopped together.

A worker that ends is started again, after a pause that grows while it keeps ending; the others serve meanwhile, and
clients of the one that is gone connect again, to them. When the last that serves has ended, those that had served are
started at once. Only when none serves and none comes up is there no use in going on: then the parent ends, with what
the worker said. A worker that says at the service's first start what keeps it from serving (a certificate, the
database) would say it again, so that ends the parent at once.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

import structlog

from headrace_server.workers.assignment import Assignment
from headrace_server.workers.pauses import Pauses
from headrace_server.workers.worker import NoWorkerServesError, Worker

MOST_FAILED_STARTS = 5  # of one worker, one after the other, while none serves

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _End:
    """How a worker ended.

    Attributes:
        served: Whether it had been ready for calls.
        failure: What it said kept it from serving.
        code: Its exit code, negative where a signal ended it; None when there was no process.
    """

    served: bool
    failure: str
    code: int | None

    @property
    def why(self) -> str:
        """What can be said of it."""
        when = "" if self.served else " before it served; its log says why"
        return self.failure or f"a worker ended with exit code {self.code}{when}"


class Crew:
    """All workers.

    Args:
        assignments: The part of each.

    Attributes:
        all_serve: Set once all have been ready for calls at the same time.
    """

    def __init__(self, assignments: Sequence[Assignment]) -> None:
        self._assignments = assignments
        self._workers: dict[int, Worker] = {}
        self._stopping = asyncio.Event()
        self._needed = asyncio.Event()  # set while none serves, and once it is over: nobody is to rest
        self.all_serve = asyncio.Event()

    async def run(self) -> None:
        """Keep every worker running until `stop`, and return when all have ended.

        Raises:
            NoWorkerServesError: None serves, and none comes up.
        """
        async with asyncio.TaskGroup() as tasks:
            for assignment in self._assignments:
                tasks.create_task(self._keep(assignment))

    def stop(self) -> None:
        """Pass on SIGTERM: the first drains the workers, a second ends them at once. None is started any more."""
        self._stopping.set()
        self._needed.set()
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End what does not end by itself."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._workers.values():
            worker.signal(number)

    async def _keep(self, assignment: Assignment) -> None:
        pauses, failed_starts = Pauses(), 0
        while not self._stopping.is_set():
            began = monotonic()
            ended = await self._live(assignment)
            if self._stopping.is_set():
                break
            failed_starts = 0 if ended.served else failed_starts + 1
            self._require_hope(ended, failed_starts)
            pause_s = pauses.after(monotonic() - began)
            log.warning("worker_ended", worker=assignment.number, why=ended.why, restart_within_s=pause_s)
            # Who had served is called when nobody is left to leave clients to; who failed to start would fail again.
            await _rest(pause_s, self._needed if ended.served else self._stopping)

    async def _live(self, assignment: Assignment) -> _End:
        """Start a worker and wait for its end."""
        try:
            worker = self._workers[assignment.number] = await Worker.start(assignment)
        except OSError as error:  # no memory, no process left
            return _End(served=False, failure=f"a worker cannot be started: {error}", code=None)
        if self._stopping.is_set():  # it came after the others had been told
            worker.signal(signal.SIGTERM)
        try:
            code = await worker.follow(self._note_serving)
            return _End(worker.serves, worker.failure, code)
        finally:
            del self._workers[assignment.number]
            if not any(worker.serves for worker in self._workers.values()):
                self._needed.set()

    def _note_serving(self) -> None:
        if not self._stopping.is_set():
            self._needed.clear()
        serving = sum(worker.serves for worker in self._workers.values())
        if serving == len(self._assignments):
            self.all_serve.set()

    def _require_hope(self, ended: _End, failed_starts: int) -> None:
        is_first_start = not self.all_serve.is_set()
        if is_first_start and ended.failure:
            raise NoWorkerServesError(ended.failure)
        is_alone = not any(worker.serves for worker in self._workers.values())
        if failed_starts >= MOST_FAILED_STARTS and (is_first_start or is_alone):
            raise NoWorkerServesError(f"{ended.why} ({failed_starts} times in a row)")


async def _rest(pause_s: float, called: asyncio.Event) -> None:
    """Wait, or until called."""
    with suppress(TimeoutError):
        async with asyncio.timeout(pause_s):
            await called.wait()
