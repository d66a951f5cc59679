"""Jobs from their beginning to their end, however that comes about: what an unfinished one made is undone."""

from __future__ import annotations

import asyncio
from functools import partial
from uuid import UUID

import asyncpg
import pytest

from headrace_server.errors import DatabaseUnavailableError, HeadraceError, OverloadedError, ProjectDeniedError
from headrace_server.errors import TypeConflictError as Refused
from headrace_server.jobs import store
from headrace_server.jobs.job import Job, JobState
from headrace_server.jobs.run import JobRun, Result
from headrace_server.jobs.runner import MOST_JOBS, JobRunner
from support.counting_job import KIND, CountingJobs


async def stood(connection: asyncpg.Connection, job_id: UUID) -> Job:
    job = await store.load(connection, "main", job_id)
    assert job is not None
    return job


async def ended(connection: asyncpg.Connection, job_id: UUID) -> Job:
    """Wait until a job has ended."""
    async with asyncio.timeout(20):
        while (job := await stood(connection, job_id)).state in {JobState.PENDING, JobState.RUNNING}:
            await asyncio.sleep(0.01)
    return job


async def tables(connection: asyncpg.Connection) -> list[str]:
    rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'main' ORDER BY 1")
    return [row["tablename"] for row in rows]


async def test_a_job_counts_its_rows_and_ends_with_its_result(
    runner: JobRunner, counting: CountingJobs, connection: asyncpg.Connection
) -> None:
    job = await runner.start("main", KIND, "t", counting.work, total_rows=15)
    assert (job.state, job.total_rows, job.instance) == (JobState.PENDING, 15, "first")
    await counting.stands.wait()
    runner.look(job.id)
    async with asyncio.timeout(10):
        while (now := await stood(connection, job.id)).progress_rows < 10:
            await asyncio.sleep(0.01)
    assert now.state is JobState.RUNNING
    counting.proceed.set()
    now = await ended(connection, job.id)
    assert (now.state, now.progress_rows, now.result) == (JobState.SUCCEEDED, 15, {"counted": 15, "names": ["a"]})
    assert await tables(connection) == ["t"]


async def test_a_job_that_is_cancelled_by_another_replica_undoes_what_it_made(
    runner: JobRunner, other: JobRunner, counting: CountingJobs, connection: asyncpg.Connection
) -> None:
    job = await runner.start("main", KIND, "t", counting.work)
    await counting.stands.wait()
    assert (await other.end_if_abandoned(await stood(connection, job.id))).state is JobState.RUNNING
    await store.request_cancel(connection, "main", job.id)
    now = await ended(connection, job.id)
    assert (now.state, now.reason, now.progress_rows) == (JobState.CANCELLED, "", 10)
    assert await tables(connection) == []


ERRORS = (
    (Refused("a column is registered otherwise"), "TYPE_CONFLICT", "a column is registered otherwise"),
    (OSError("no route"), "DATABASE_UNAVAILABLE", "no route"),
    (KeyError("carrier"), "INTERNAL", "a defect of the service"),
)


async def test_a_job_whose_work_raises_fails_with_the_reason(runner: JobRunner, connection: asyncpg.Connection) -> None:
    for error, reason, message in ERRORS:
        now = await runner.carry_out(await runner.open("main", KIND, "t"), partial(raising, error))
        assert (now.state, now.reason) == (JobState.FAILED, reason)
        assert message in now.error
        assert await tables(connection) == []
        assert await stood(connection, now.id) == now


async def raising(error: Exception, run: JobRun) -> Result:
    await run.connection.execute("CREATE TABLE main.t (number int)")
    raise error


async def test_a_job_succeeds_in_the_transaction_of_its_last_work(
    runner: JobRunner, connection: asyncpg.Connection
) -> None:
    async def work(run: JobRun) -> Result:
        async with run.connection.transaction():
            await run.connection.execute("CREATE TABLE main.t (number int)")
            run.result = {"made": "t"}
            await run.succeed()
            assert (await stood(connection, run.job.id)).state is JobState.RUNNING
        raise KeyError("too late to matter")

    now = await runner.carry_out(await runner.open("main", KIND, "t"), work)
    assert (now.state, now.result) == (JobState.SUCCEEDED, {"made": "t"})
    assert await tables(connection) == ["t"]


async def test_a_job_that_was_ended_by_others_cannot_succeed(runner: JobRunner, connection: asyncpg.Connection) -> None:
    async def work(run: JobRun) -> Result:
        await connection.execute("UPDATE headrace.jobs SET state = 'FAILED', reason = 'JOB_ABANDONED'")
        async with run.connection.transaction():
            await run.connection.execute("CREATE TABLE main.t (number int)")
            await run.succeed()
        raise AssertionError

    now = await runner.carry_out(await runner.open("main", KIND, "t"), work)
    assert (now.state, now.reason) == (JobState.FAILED, "JOB_ABANDONED")
    assert await tables(connection) == []


async def test_a_job_whose_replica_is_gone_is_ended_and_undone_by_the_next(
    runner: JobRunner, other: JobRunner, connection: asyncpg.Connection
) -> None:
    run = await runner.open("main", KIND, "t")
    await run.connection.execute("CREATE TABLE main.t (number int)")
    await store.begin(run.connection, run.job.id)
    await other.sweep()
    assert (await stood(connection, run.job.id)).state is JobState.RUNNING, "its lock is held"
    run.connection.terminate()
    async with asyncio.timeout(10):
        while (now := await stood(connection, run.job.id)).state is JobState.RUNNING:
            await other.sweep()
    assert (now.state, now.reason) == (JobState.FAILED, "JOB_ABANDONED")
    assert "first" in now.error
    assert await tables(connection) == []


async def test_jobs_end_with_their_replica(
    runner: JobRunner, counting: CountingJobs, connection: asyncpg.Connection
) -> None:
    running = asyncio.create_task(runner.run())
    job = await runner.start("main", KIND, "t", counting.work)
    await counting.stands.wait()
    assert not runner.is_quiet
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    now = await stood(connection, job.id)
    assert (now.state, now.reason) == (JobState.FAILED, "JOB_ABANDONED")
    assert await tables(connection) == []
    assert runner.is_quiet


async def test_a_job_whose_connection_is_lost_fails_and_is_undone(
    runner: JobRunner, counting: CountingJobs, connection: asyncpg.Connection
) -> None:
    async def work(run: JobRun) -> Result:
        await run.connection.execute("CREATE TABLE main.t (number int)")
        await connection.execute("SELECT pg_terminate_backend($1)", run.connection.get_server_pid())
        await run.connection.execute("INSERT INTO main.t VALUES (1)")
        raise AssertionError

    now = await runner.carry_out(await runner.open("main", KIND, "t"), work)
    assert (now.state, now.reason) == (JobState.FAILED, "DATABASE_UNAVAILABLE")
    assert await tables(connection) == []


async def test_a_replica_runs_so_many_jobs_and_refuses_the_next(
    runner: JobRunner, counting: CountingJobs, connection: asyncpg.Connection
) -> None:
    jobs = [await runner.start("main", KIND, f"t{number}", counting.work) for number in range(MOST_JOBS)]
    with pytest.raises(OverloadedError):
        await runner.start("main", KIND, "one too many", counting.work)
    counting.proceed.set()
    for job in jobs:
        assert (await ended(connection, job.id)).state is JobState.SUCCEEDED


async def test_a_job_of_no_project_is_refused(runner: JobRunner, counting: CountingJobs) -> None:
    with pytest.raises(ProjectDeniedError) as refused:
        await runner.start("nowhere", KIND, "t", counting.work)
    assert isinstance(refused.value, HeadraceError)
    assert runner.is_quiet


async def test_jobs_are_forgotten_a_month_after_their_end(runner: JobRunner, connection: asyncpg.Connection) -> None:
    async def work(run: JobRun) -> Result:
        return None

    old = await runner.carry_out(await runner.open("main", KIND, "old"), work)
    new = await runner.carry_out(await runner.open("main", KIND, "new"), work)
    await connection.execute("UPDATE headrace.jobs SET updated_at = now() - interval '31 days' WHERE id = $1", old.id)
    await runner.sweep()
    assert [job.id for job in await store.load_page(connection, store.Choice("main"), None, 10)] == [new.id]


async def test_a_database_that_is_away_is_told(runner: JobRunner, pool: asyncpg.Pool, counting: CountingJobs) -> None:
    async def connect() -> asyncpg.Connection:
        raise ConnectionRefusedError("no database here")

    away = JobRunner(connect, pool, "first", {KIND: counting})
    with pytest.raises(DatabaseUnavailableError):
        await away.start("main", KIND, "t", counting.work)
