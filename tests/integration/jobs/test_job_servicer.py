"""JobService over a real gRPC server, as the SDK's Job sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import grpc
import pytest

import headrace
from headrace import aio
from headrace.v1 import job_service_pb2_grpc
from headrace_server.intake.interceptors import CallInterceptor
from headrace_server.jobs.job_servicer import JobServicer
from headrace_server.jobs.run import JobRun, Result
from headrace_server.jobs.runner import JobRunner
from headrace_server.ops.metrics import Metrics
from support.counting_job import KIND, CountingJobs


@pytest.fixture
async def client(runner: JobRunner, pool: asyncpg.Pool) -> AsyncIterator[aio.AsyncClient]:
    server = grpc.aio.server(interceptors=[CallInterceptor(Metrics(version="0", instance="test"))])
    job_service_pb2_grpc.add_JobServiceServicer_to_server(JobServicer(runner, pool), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.connect(f"127.0.0.1:{port}", settings=headrace.Settings(call_timeout_s=5.0)) as client:
        yield client
    await server.stop(None)


async def test_a_job_is_waited_for(runner: JobRunner, counting: CountingJobs, client: aio.AsyncClient) -> None:
    started = await runner.start("main", KIND, "t", counting.work, total_rows=15)
    job = await client.job(str(started.id))
    assert (job.now.kind, job.now.subject, job.now.total_rows, job.now.result) == (KIND, "t", 15, {})
    with pytest.raises(headrace.JobTimeout) as late:
        await job.wait(timeout=0.2)
    assert late.value.job is job.now
    counting.proceed.set()
    await job.wait(timeout=20)
    assert (job.now.state, job.now.progress_rows) == (headrace.JobState.SUCCEEDED, 15)
    assert job.now.result == {"counted": 15, "names": ["a"]}
    assert job.now.create_time <= job.now.update_time


async def test_a_job_is_cancelled(runner: JobRunner, counting: CountingJobs, client: aio.AsyncClient) -> None:
    started = await runner.start("main", KIND, "t", counting.work)
    await counting.stands.wait()
    job = await client.job(str(started.id))
    await job.cancel()
    with pytest.raises(headrace.JobFailedError) as failed:
        await job.wait(timeout=20)
    assert failed.value.reason == "CANCELLED"
    assert job.now.state is headrace.JobState.CANCELLED
    assert (await job.cancel()).now.state is headrace.JobState.CANCELLED, "a finished job stays as it is"


async def test_a_job_that_failed_says_why(runner: JobRunner, client: aio.AsyncClient) -> None:
    async def work(run: JobRun) -> Result:
        raise KeyError("carrier")

    ended = await runner.carry_out(await runner.open("main", KIND, "t"), work)
    job = await client.job(str(ended.id))
    with pytest.raises(headrace.JobFailedError, match="a defect of the service") as failed:
        await job.wait()
    assert failed.value.reason == job.now.reason == "INTERNAL"


async def test_jobs_are_listed_newest_first(runner: JobRunner, counting: CountingJobs, client: aio.AsyncClient) -> None:
    counting.proceed.set()
    started = [await runner.start("main", KIND, f"t{number}", counting.work) for number in range(3)]
    listed = [job.now.id async for job in client.list_jobs()]
    assert listed == [str(job.id) for job in reversed(started)]
    assert [job.now.subject async for job in client.list_jobs(subject="t1")] == ["t1"]
    async with asyncio.timeout(20):
        while not runner.is_quiet:
            await asyncio.sleep(0.01)
    assert [job async for job in client.list_jobs(state=headrace.JobState.RUNNING)] == []
    assert [job async for job in client.list_jobs(kind="ANOTHER\0")] == []


async def test_a_job_that_is_not_there(client: aio.AsyncClient) -> None:
    for job_id in (str(uuid4()), "the first one", ""):
        with pytest.raises(headrace.ServiceError) as refused:
            await client.job(job_id)
        assert (refused.value.reason, refused.value.code) == ("JOB_NOT_FOUND", grpc.StatusCode.NOT_FOUND)


async def test_jobs_are_paged(
    runner: JobRunner, counting: CountingJobs, client: aio.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace_server.jobs.job_servicer.DEFAULT_PAGE_ROWS", 2)
    counting.proceed.set()
    started = [await runner.start("main", KIND, f"t{number}", counting.work) for number in range(5)]
    assert [job.now.id async for job in client.list_jobs()] == [str(job.id) for job in reversed(started)]
