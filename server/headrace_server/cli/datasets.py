# ruff: noqa: PLC0415
"""`headrace datasets`: pre-production data of a running service, published from files, looked at and dropped whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace_server.cli.failure import fail
from headrace_server.cli.models import connected
from headrace_server.cli.options import DEFAULT_ADDRESS, Address, Project
from headrace_server.cli.publish import MOST_ERRORS_SHOWN, count_rows

if TYPE_CHECKING:
    from headrace import Dataset, Job

verbs = typer.Typer(help="Pre-production datasets of a running service.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the dataset.")]
OfModel = Annotated[str, typer.Option("--model", "-m", help="Model it belongs to. Default: it belongs to none.")]
Columns = list[str] | None


@verbs.command()
def publish(
    *,
    file: Annotated[Path, typer.Argument(help="A .csv or .parquet file.", exists=True, dir_okay=False)],
    name: Annotated[str, typer.Option("--name", "-n", help="Name of the dataset.")],
    model: OfModel = "",
    version: Annotated[str, typer.Option(help="Version of the model, stored with the rows.")] = "",
    address: Address = DEFAULT_ADDRESS,
    project: Project = "",
    event_id: Annotated[str | None, typer.Option(help="Column of ids. Default: event_id, else new ones.")] = None,
    event_time: Annotated[str | None, typer.Option(help="Column of times. Default: event_time, else none.")] = None,
    predictions: Annotated[Columns, typer.Option("--prediction", help="A prediction; may be repeated.")] = None,
    labels: Annotated[
        Columns, typer.Option("--labels", help="A label; may be repeated. Default: the registered ones.")
    ] = None,
    expected_rows: Annotated[int | None, typer.Option(help="Rows there must be.")] = None,
    allow_rejected: Annotated[bool, typer.Option("--allow-rejected", help="Go on without refused rows.")] = False,
    complete: Annotated[
        bool, typer.Option("--complete", help="Add these columns, by event_id, to a dataset that is there.")
    ] = False,
) -> None:
    """Publish a file as a dataset, and wait until it is there whole. Ctrl-C cancels it."""
    from headrace import HeadraceError, JobFailedError

    with connected(address, project) as client:
        if model:
            handle = client.get_model(model, version)
            if complete:
                job = handle.complete_dataset(
                    file,
                    name=name,
                    event_id=event_id,
                    predictions=predictions,
                    labels=labels,
                    expected_rows=expected_rows,
                )
            else:
                job = handle.publish_dataset(
                    file,
                    name=name,
                    event_id=event_id,
                    event_time=event_time,
                    predictions=predictions,
                    labels=labels,
                    expected_rows=expected_rows,
                    allow_rejected=allow_rejected,
                )
        else:
            job = client.publish_dataset(
                file,
                name=name,
                event_id=event_id,
                event_time=event_time,
                labels=labels,
                expected_rows=expected_rows,
                allow_rejected=allow_rejected,
            )
        try:
            _wait(job, file)
        except JobFailedError as error:
            _print_errors(job)
            fail(error)
        except OSError as error:
            fail(f"{file}: {error.strerror or error}")
        except HeadraceError as error:
            fail(f"{error} ({error.reason})")
        except KeyboardInterrupt:
            job.cancel()
            fail(f"cancelled: nothing of {name!r} is there")
        _print_errors(job)
        typer.echo(f"{name}: {job.result.get('rows', 0):,} rows")


@verbs.command("list")
def list_datasets(model: OfModel = "", address: Address = DEFAULT_ADDRESS, project: Project = "") -> None:
    """List the datasets of a model, or of the project."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    with connected(address, project) as client:
        datasets = list(client.list_datasets(model=model))
    if not datasets:
        typer.echo("no datasets yet: headrace datasets publish FILE --name NAME")
        return
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("model", "dataset", "rows", "baseline", "since"):
        table.add_column(heading, overflow="fold")
    for dataset in datasets:
        since = dataset.create_time.isoformat(timespec="seconds")
        table.add_row(
            dataset.model or "–", dataset.name, f"{dataset.rows:,}", "yes" if dataset.is_baseline else "", since
        )
    Console().print(table)


@verbs.command()
def show(name: Name, model: OfModel = "", address: Address = DEFAULT_ADDRESS, project: Project = "") -> None:
    """Show a dataset: its rows, its table, its columns."""
    from rich.console import Console
    from rich.table import Table

    with connected(address, project) as client:
        dataset = client.dataset(name, model=model)
    facts = Table(box=None, show_header=False)
    for label, value in _facts(dataset):
        facts.add_row(label, value)
    Console().print(facts)


@verbs.command()
def drop(name: Name, model: OfModel = "", address: Address = DEFAULT_ADDRESS, project: Project = "") -> None:
    """Remove a whole dataset."""
    with connected(address, project) as client:
        client.drop_dataset(name, model=model)
    typer.echo(f"dropped {name}")


@verbs.command()
def baseline(
    name: Annotated[str, typer.Argument(help="One of the model's datasets; empty: none.")],
    model: Annotated[str, typer.Option("--model", "-m", help="The model.")],
    address: Address = DEFAULT_ADDRESS,
    project: Project = "",
) -> None:
    """Name the dataset that a model's drift is measured against."""
    with connected(address, project) as client:
        info = client.model(model).set_baseline(name or None)
    typer.echo(f"baseline of {info.name}: {info.baseline_dataset or 'none'}")


def _wait(job: Job, file: Path) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from headrace_server.cli.rate import RowsPerSecond

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RowsPerSecond(),
        TimeElapsedColumn(),
    )
    with Progress(*columns) as progress:
        task = progress.add_task(file.name, total=count_rows(file))
        job.wait(on_progress=lambda now: progress.update(task, completed=now.progress_rows))
        progress.update(task, total=job.progress_rows, completed=job.progress_rows)


def _print_errors(job: Job) -> None:
    for error in job.result.get("errors", [])[:MOST_ERRORS_SHOWN]:
        column = f" in {error['column']}" if error["column"] else ""
        rows = ", ".join(str(row) for row in error["rows"][:5])
        typer.echo(f"{error['count']:,} × {error['reason']}{column}: {error['message']} (rows {rows} …)", err=True)


def _facts(dataset: Dataset) -> list[tuple[str, str]]:
    facts = [
        ("dataset", dataset.name),
        ("model", dataset.model or "–"),
        ("rows", f"{dataset.rows:,}"),
        ("rows in", dataset.table),
        ("baseline", "yes" if dataset.is_baseline else "no"),
        ("completed", ", ".join(dataset.completed_columns) or "–"),
        ("since", dataset.create_time.isoformat(timespec="seconds")),
        ("published by", f"job {dataset.job_id}"),
    ]
    columns = ", ".join(f"{column.name} {column.type.name.lower()}" for column in dataset.schema.columns)
    return [*facts, ("columns", columns)] if columns else facts
