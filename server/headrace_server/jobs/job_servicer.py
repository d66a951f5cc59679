"""JobService over headrace.jobs: what clients may ask about jobs, whichever replica runs them.

In: requests. Out: jobs as protos. Raises HeadraceError; an interceptor makes a status of it.
"""

from typing import Any
from uuid import UUID

import asyncpg
from google.protobuf.json_format import ParseDict
from grpc.aio import ServicerContext

from headrace.v1 import job_pb2
from headrace.v1 import job_service_pb2 as pb
from headrace.v1.job_service_pb2_grpc import JobServiceServicer
from headrace_server.errors import JobNotFoundError
from headrace_server.jobs import store
from headrace_server.jobs.job import Job, JobState
from headrace_server.jobs.run import ACQUIRE_TIMEOUT_S
from headrace_server.jobs.runner import JobRunner
from headrace_server.models.names import fold_project
from headrace_server.storage.outage import told_as_unavailable

DEFAULT_PROJECT = "main"
DEFAULT_PAGE_ROWS = 100
LONGEST_PAGE_ROWS = 1_000

Context = ServicerContext[Any, Any]


class JobServicer(JobServiceServicer):
    """Serves headrace.v1.JobService.

    Args:
        runner: The jobs of this replica.
        pool: For reading those of all.
    """

    def __init__(self, runner: JobRunner, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._runner = runner
        self._pool = pool

    async def GetJob(self, request: pb.GetJobRequest, context: Context) -> pb.GetJobResponse:
        """Return one job."""
        return pb.GetJobResponse(job=to_proto(await self._load(request.project, request.id)))

    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        """Return a page of jobs; its token is the last job's id."""
        limit = min(request.page_size or DEFAULT_PAGE_ROWS, LONGEST_PAGE_ROWS)
        after = _uuid(request.page_token) if request.page_token else None
        states = {state.value: state.name for state in JobState}
        if "\0" in request.kind + request.subject:
            return pb.ListJobsResponse()  # there are no such jobs, and no such texts in PostgreSQL
        choice = store.Choice(_project(request.project), request.kind, states.get(request.state, ""), request.subject)
        with told_as_unavailable():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                found = await store.load_page(connection, choice, after, limit + 1)
        page = found[:limit]
        return pb.ListJobsResponse(
            jobs=[to_proto(job) for job in page], next_page_token=str(page[-1].id) if len(found) > limit else ""
        )

    async def CancelJob(self, request: pb.CancelJobRequest, context: Context) -> pb.CancelJobResponse:
        """Ask for a job's end."""
        job = await self._load(request.project, request.id)
        with told_as_unavailable():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                await store.request_cancel(connection, job.project, job.id)
        self._runner.look(job.id)
        return pb.CancelJobResponse(job=to_proto(await self._load(request.project, request.id)))

    async def _load(self, project: str, text: str) -> Job:
        job_id = _uuid(text)
        with told_as_unavailable():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                job = await store.load(connection, _project(project), job_id) if job_id else None
            if job is None:
                raise JobNotFoundError(f"there is no job {text[:60]!r} in the project {project or DEFAULT_PROJECT!r}")
            return await self._runner.end_if_abandoned(job)


def to_proto(job: Job) -> job_pb2.Job:
    """Return the job as clients see it."""
    shown = job_pb2.Job(
        id=str(job.id),
        project=job.project,
        kind=job.kind,
        subject=job.subject,
        state=job.state.value,
        progress_rows=job.progress_rows,
        total_rows=job.total_rows or 0,
        cancel_requested=job.cancel_requested,
    )
    if job.reason:
        shown.error.reason, shown.error.message = job.reason, job.error
    if job.result is not None:
        ParseDict(dict(job.result), shown.result)
    shown.create_time.FromDatetime(job.created_at)
    shown.update_time.FromDatetime(job.updated_at)
    return shown


def _project(name: str) -> str:
    return fold_project(name or DEFAULT_PROJECT)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
