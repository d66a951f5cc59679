"""Begins jobs on this replica, and ends those of replicas that are gone.

A job runs where it was begun: by the call that needs it (`open`, then JobRun.carry_out), or by itself (`start`). It
holds its lock meanwhile. The sweep looks for unfinished jobs whose lock is free, at the start of each replica and from
time to time: they are FAILED with JOB_ABANDONED, and what they had made is undone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

import asyncpg
import structlog

from headrace.ids import uuid7
from headrace_server.copying.connection import DATABASE_ERRORS, Connect, transaction
from headrace_server.errors import JobAbandonedError, OverloadedError, ProjectDeniedError
from headrace_server.jobs import store
from headrace_server.jobs.job import Ending, Job, JobKind, JobState
from headrace_server.jobs.run import ACQUIRE_TIMEOUT_S, JobRun, Result, end_and_undo
from headrace_server.storage.outage import told_as_unavailable

log = structlog.get_logger(__name__)

MOST_JOBS = 16  # of one replica at once: each has a connection
SWEEP_EVERY_S = 30.0


class JobRunner:
    """The jobs of one replica.

    Args:
        connect: Opens the connection of a job.
        pool: For short statements.
        instance: Name of this replica.
        kinds: The kinds of jobs there are, by name.
    """

    def __init__(
        self,
        connect: Connect,
        pool: "asyncpg.Pool[asyncpg.Record]",
        instance: str,
        kinds: Mapping[str, JobKind],
    ) -> None:
        self._connect = connect
        self._pool = pool
        self._instance = instance
        self._kinds = kinds
        self._runs: dict[UUID, JobRun] = {}
        self._begun: set[asyncio.Task[Job]] = set()
        self._opening = 0

    async def open(self, project: str, kind: str, subject: str, total_rows: int | None = None) -> JobRun:
        """Write down a new job and hold its lock; the caller carries it out at once.

        Args:
            project: Project it belongs to, folded.
            kind: One of the kinds.
            subject: What it is about, in its kind's words.
            total_rows: Rows there are to do, if that is known.

        Raises:
            ProjectDeniedError: There is no such project.
            OverloadedError: This replica runs as many jobs as it may.
            DatabaseUnavailableError: The database does not answer.
        """
        if len(self._runs) + self._opening >= MOST_JOBS:
            raise OverloadedError(f"this replica runs {MOST_JOBS} jobs already; try again when one has ended")
        self._opening += 1
        try:
            with told_as_unavailable():
                connection = await self._connect()
                try:
                    job_id = UUID(uuid7())
                    await store.lock_for_life(connection, job_id)
                    new = store.NewJob(job_id, project, kind, subject, total_rows, self._instance)
                    job = await store.insert(connection, new)
                except asyncpg.ForeignKeyViolationError:
                    connection.terminate()
                    raise ProjectDeniedError(f"project {project!r} is not yours to write to") from None
                except BaseException:
                    connection.terminate()
                    raise
        finally:
            self._opening -= 1
        run = JobRun(job, self._kinds[kind], connection, self._pool)
        self._runs[job.id] = run
        return run

    async def carry_out(self, run: JobRun, work: Callable[[JobRun], Awaitable[Result]]) -> Job:
        """Do an opened job's work here and now; as JobRun.carry_out."""
        try:
            return await run.carry_out(work)
        finally:
            self._runs.pop(run.job.id, None)

    async def start(
        self,
        project: str,
        kind: str,
        subject: str,
        work: Callable[[JobRun], Awaitable[Result]],
        total_rows: int | None = None,
    ) -> Job:
        """Begin a job that runs by itself; returns it as it was written down.

        Args:
            project: As for `open`, and so are the next two.
            kind: One of the kinds.
            subject: What it is about.
            work: Does the job on `run.connection`, counts with `run.advance` and returns the result. It is cancelled
                when somebody cancels the job, so each of its transactions must be whole in itself.
            total_rows: Rows there are to do, if that is known.

        Raises:
            ProjectDeniedError, OverloadedError, DatabaseUnavailableError: As `open`.
        """
        run = await self.open(project, kind, subject, total_rows)
        task = asyncio.create_task(self.carry_out(run, work))
        self._begun.add(task)
        task.add_done_callback(self._ended)
        return run.job

    def _ended(self, task: "asyncio.Task[Job]") -> None:
        self._begun.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("job_end_unwritten", error=repr(error))

    @property
    def is_quiet(self) -> bool:
        """Whether no job runs here."""
        return not self._runs and not self._opening

    def look(self, job_id: UUID) -> None:
        """Have a job that runs here look at once whether it is to end."""
        if run := self._runs.get(job_id):
            run.look()

    async def run(self) -> None:
        """Sweep until cancelled, then end what was begun here; an outage of the database only postpones a sweep."""
        try:
            while True:
                try:
                    await self.sweep()
                except DATABASE_ERRORS as error:
                    log.info("job_sweep_postponed", error=repr(error))
                await asyncio.sleep(SWEEP_EVERY_S)
        finally:
            begun = list(self._begun)
            for task in begun:
                task.cancel()
            await asyncio.gather(*begun, return_exceptions=True)

    async def sweep(self) -> None:
        """End the jobs that nobody runs any more, and forget old ones."""
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
            await store.forget(connection)
            jobs = [job for job in await store.unfinished(connection) if job.id not in self._runs]
        for job in jobs:
            await self.end_if_abandoned(job)

    async def end_if_abandoned(self, job: Job) -> Job:
        """Return the job as it stands: FAILED, if its replica is gone."""
        if job.state not in {JobState.PENDING, JobState.RUNNING} or job.id in self._runs or job.kind not in self._kinds:
            return job
        error = f"the replica {job.instance} that ran the job ended in the middle of it: begin it again"
        ending = Ending(JobState.FAILED, JobAbandonedError.reason, error)
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
            # A job never begins a second time: once its lock is free it stays so, and need not be held here.
            async with transaction(connection):
                if not await store.try_lock(connection, job.id):
                    return job
            ended = await end_and_undo(connection, job, self._kinds[job.kind], ending)
        log.warning("job_abandoned", job=str(job.id), kind=job.kind, subject=job.subject, instance=job.instance)
        return ended
