# ruff: noqa: PLC0415
"""`headrace jobs`: work of a running service that takes longer than a call, looked at and cancelled."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from headrace_server.cli.failure import MISUSED, fail
from headrace_server.cli.models import connected
from headrace_server.cli.options import DEFAULT_ADDRESS, Address, Project
from headrace_server.cli.whole_lines import print_lines

if TYPE_CHECKING:
    from headrace import Job

verbs = typer.Typer(help="Jobs of a running service.", no_args_is_help=True)

JobId = Annotated[str, typer.Argument(help="Id of the job.")]


@verbs.command("list")
def list_jobs(
    *,
    kind: Annotated[str, typer.Option(help="Only of this kind: publish_dataset, delete_events …")] = "",
    state: Annotated[str, typer.Option(help="Only in this state: running, succeeded, failed, cancelled.")] = "",
    subject: Annotated[str, typer.Option(help="Only about this: a model, or model/dataset.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Most jobs to show.")] = 50,
    address: Address = DEFAULT_ADDRESS,
    project: Project = "",
) -> None:
    """List jobs, newest first."""
    from headrace import JobState

    if state and state.upper() not in JobState.__members__:
        fail(f"no state {state!r}; there are {', '.join(JobState.__members__).lower()}", MISUSED)
    wanted = JobState[state.upper()] if state else None
    with connected(address, project) as client:
        jobs = list(islice(client.list_jobs(kind=kind.upper(), state=wanted, subject=subject), limit))
    if not jobs:
        typer.echo("no jobs")
        return
    rows = [
        (
            job.id,
            f"{job.create_time:%Y-%m-%d %H:%M}",
            job.kind.lower(),
            job.subject,
            job.state.name.lower(),
            _rows(job),
            job.reason,
        )
        for job in jobs
    ]
    print_lines(("id", "begun", "kind", "subject", "state", "rows", "why"), rows, numbers=("rows",))


@verbs.command()
def show(id: JobId, address: Address = DEFAULT_ADDRESS, project: Project = "") -> None:  # noqa: A002 - as in the usage text
    """Show a job: how far it is, what came of it, why it failed."""
    with connected(address, project) as client:
        print_job(client.job(id))


@verbs.command()
def cancel(id: JobId, address: Address = DEFAULT_ADDRESS, project: Project = "") -> None:  # noqa: A002 - as above
    """Ask for a job's end: it ends within seconds. A job that has ended stays as it is."""
    with connected(address, project) as client:
        print_job(client.job(id).cancel())


def print_job(job: Job) -> None:
    """Print a job as it stands."""
    typer.echo(f"{job.id}: {job.kind.lower()} of {job.subject}, {job.state.name.lower()}, {_rows(job)} rows")
    if job.reason:
        typer.echo(f"{job.reason}: {job.error}")
    for name, value in job.result.items():
        typer.echo(f"  {name}: {value}")


def _rows(job: Job) -> str:
    return f"{job.progress_rows:,}" + (f" of {job.total_rows:,}" if job.total_rows else "")
