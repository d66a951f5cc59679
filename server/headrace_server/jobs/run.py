"""One job while it runs here: its connection and lock, its progress, its end.

Two tasks talk: the *work* does what the job is for and counts rows with `advance`; the *heartbeat* writes the count
about once a second and reads whether somebody, on any replica, wants the job to end: then it cancels the work. However
the work ends, its end is written down together with the undoing of what it had made, in one transaction; work that must
be done exactly when its job SUCCEEDED calls `succeed` in its own last transaction.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

import asyncpg
import structlog

from headrace_server.copying.connection import DATABASE_ERRORS, Connection, transaction
from headrace_server.errors import DatabaseUnavailableError, HeadraceError, JobAbandonedError
from headrace_server.jobs import store
from headrace_server.jobs.job import Ending, Job, JobKind, JobState

log = structlog.get_logger(__name__)

HEARTBEAT_S = 1.0
ACQUIRE_TIMEOUT_S = 10.0
CLOSE_S = 5.0
END_TRIES_S = (0.5, 2.0, 5.0)  # pauses; after them the sweep of some replica ends it
UNDO_LOCK_MS = 10_000

Result: TypeAlias = Mapping[str, Any] | None


class JobRun:
    """A job that this replica runs.

    Attributes:
        job: The job as it was written down when it began.
        connection: Its own; while it lives, the job's lock is held.
        rows: Rows done so far.
        result: What is told with the job's end, whichever it is.
    """

    def __init__(self, job: Job, kind: JobKind, connection: Connection, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self.job = job
        self.connection = connection
        self.rows = 0
        self.result: dict[str, Any] = {}
        self._kind = kind
        self._pool = pool
        self._look = asyncio.Event()
        self._cancelled = False

    def advance(self, rows: int) -> None:
        """Count rows that are done; the heartbeat writes it down."""
        self.rows += rows

    def look(self) -> None:
        """Have the heartbeat look now: somebody has asked for the job's end."""
        self._look.set()

    async def succeed(self) -> None:
        """Write down that the job SUCCEEDED, in the caller's transaction on `connection`: both commit, or neither.

        Raises:
            JobAbandonedError: The job has been ended by somebody else; the transaction must not be committed.
        """
        ending = Ending(JobState.SUCCEEDED, result=self.result)
        if await store.end(self.connection, self.job.id, ending, self.rows) is None:
            raise JobAbandonedError("the job had been ended before its work was done")

    async def carry_out(self, work: Callable[["JobRun"], Awaitable[Result]]) -> Job:
        """Do the work and return the job as it ended; nothing that the work raises leaves here.

        Args:
            work: Returns the job's result, or leaves it in `result`.

        Raises:
            CancelledError: The caller was cancelled; the job is FAILED with JOB_ABANDONED.
            DatabaseUnavailableError: The database did not take the job's end; a replica's sweep will write it.
        """
        try:
            working = asyncio.ensure_future(self._begin_and(work))
            beating = asyncio.create_task(self._beat(working))
            try:
                ending = await self._ending_of(working)
            finally:
                beating.cancel()
                with suppress(asyncio.CancelledError):
                    await beating
        except asyncio.CancelledError:
            error = "the service stopped, or the caller went away, in the middle of the job: begin it again"
            await asyncio.shield(self._end(Ending(JobState.FAILED, JobAbandonedError.reason, error)))
            raise
        return await asyncio.shield(self._end(ending))

    async def _begin_and(self, work: Callable[["JobRun"], Awaitable[Result]]) -> Result:
        await store.begin(self.connection, self.job.id)
        return await work(self)

    async def _ending_of(self, working: "asyncio.Future[Result]") -> Ending:
        told = self.result
        try:
            result = await working
        except asyncio.CancelledError:
            if not self._cancelled:
                working.cancel()
                with suppress(BaseException):
                    await working
                raise
            return Ending(JobState.CANCELLED, result=told)
        except HeadraceError as error:
            return Ending(JobState.FAILED, error.reason, error.message, told | error.metadata)
        except DATABASE_ERRORS as error:
            text = f"the database went away in the middle, or refused: {error!r}"
            return Ending(JobState.FAILED, "DATABASE_UNAVAILABLE", text, told)
        except Exception as error:
            log.exception("job_defect", job=str(self.job.id), kind=self.job.kind)
            text = f"a defect of the service; its logs have job {self.job.id}: {error!r}"
            return Ending(JobState.FAILED, "INTERNAL", text, told)
        return Ending(JobState.SUCCEEDED, result=told if result is None else result)

    async def _beat(self, working: "asyncio.Future[Result]") -> None:
        """Write progress, and cancel the work when it is wanted or the job is no longer ours."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._look.wait()
            self._look.clear()
            try:
                async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                    goes_on = await store.advance(connection, self.job.id, self.rows)
            except DATABASE_ERRORS:
                continue  # the work's own connection tells it of an outage
            if not goes_on and not working.done():
                self._cancelled = True
                working.cancel()
                return

    async def _end(self, ending: Ending) -> Job:
        """Write the end, undo what an unfinished job has made, and let go of the lock.

        On the job's own connection where that can be used still: so the lock is held until the end is written.
        """
        own = self.connection
        try:
            if not own.is_closed() and not own.is_in_transaction():
                return await end_and_undo(own, self.job, self._kind, ending, self.rows)
        except DATABASE_ERRORS as error:
            log.warning("job_end_postponed", job=str(self.job.id), error=repr(error))
        finally:
            await _let_go(own)
        for pause_s in END_TRIES_S:
            try:
                async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                    return await end_and_undo(connection, self.job, self._kind, ending, self.rows)
            except DATABASE_ERRORS as error:
                log.warning("job_end_postponed", job=str(self.job.id), error=repr(error))
            await asyncio.sleep(pause_s)
        raise DatabaseUnavailableError("the database did not take the job's end; a replica will write it later")


async def end_and_undo(connection: Connection, job: Job, kind: JobKind, ending: Ending, rows: int | None = None) -> Job:
    """Write a job's end together with the undoing of what it has made, unless it has ended already."""
    async with transaction(connection):
        await connection.execute(f"SET LOCAL lock_timeout = {UNDO_LOCK_MS}")
        ended = await store.end(connection, job.id, ending, rows)
        if ended is not None and ending.state is not JobState.SUCCEEDED:
            await kind.undo(connection, ended)
        return ended or await store.load(connection, job.project, job.id) or job


async def _let_go(connection: Connection) -> None:
    """Close the job's connection: politely, so that its statement ends and its locks are free, but not for ever."""
    try:
        await connection.close(timeout=CLOSE_S)
    except DATABASE_ERRORS:
        connection.terminate()
