# ruff: noqa: PLC0415
"""`headrace delete`: events of a running service are deleted for good, by id or of a time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace_server.cli.failure import MISUSED, fail
from headrace_server.cli.jobs import print_job
from headrace_server.cli.models import connected
from headrace_server.cli.options import DEFAULT_ADDRESS, Address, Project

if TYPE_CHECKING:
    from headrace import Client, Job


def delete(
    *,
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    ids: Annotated[list[str] | None, typer.Option("--id", help="Id of an event; may be repeated.")] = None,
    ids_file: Annotated[
        Path | None, typer.Option("--ids-file", help="A file of ids, one a line.", exists=True, dir_okay=False)
    ] = None,
    start: Annotated[str | None, typer.Option("--from", help="First event_time, with its zone.")] = None,
    end: Annotated[str | None, typer.Option("--until", help="First event_time that stays, with its zone.")] = None,
    confirm: Annotated[
        str, typer.Option("--confirm", help="The model's name once more; asked for where it is not given.")
    ] = "",
    address: Address = DEFAULT_ADDRESS,
    project: Project = "",
) -> None:
    """Delete events for good, with their labels and all that came late for them, and wait until it is done.

    At most 10,000 ids, or the events of --from <= event_time < --until. Ctrl-C cancels; what is deleted stays deleted.
    """
    from headrace import JobFailedError

    listed = ids_file.read_text("utf-8").splitlines() if ids_file is not None else []
    wanted = [*(ids or ()), *filter(None, listed)]
    if bool(wanted) == bool(start or end):
        fail("say which events are meant: --id or --ids-file, or else --from and --until", MISUSED)
    named = confirm or typer.prompt(f"nothing brings them back; type the model's name ({model}) to go on")
    with connected(address, project) as client:
        job = client.model(model).delete_events(wanted or None, start=start, end=end, confirm=named)
        try:
            _wait(client, job)
        except JobFailedError as error:
            fail(error)
    print_job(job)


def _wait(client: Client, job: Job) -> None:
    try:
        job.wait()
    except KeyboardInterrupt:
        client.job(job.id).cancel()
        fail(f"cancelled: what is deleted stays deleted (headrace jobs show {job.id})")
