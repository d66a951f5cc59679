# ruff: noqa: PLC0415
"""`headrace models`: what the registry of a running service knows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace_server.cli.failure import fail
from headrace_server.cli.options import DEFAULT_ADDRESS, Address, Project

if TYPE_CHECKING:
    from headrace import Client, ModelInfo, ModelStatistics, RowCount

verbs = typer.Typer(help="The models of a running service.", no_args_is_help=True)


@verbs.command("list")
def list_models(address: Address = DEFAULT_ADDRESS, project: Project = "") -> None:
    """List the models of a project."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    with connected(address, project) as client:
        models = list(client.list_models())
    if not models:
        typer.echo("no models yet: register one, or serve with --infer-models and send a batch")
        return
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("model", "identity", "columns", "versions", "events in"):
        table.add_column(heading, overflow="fold")
    for model in models:
        versions = ", ".join(model.versions) or "–"
        table.add_row(
            model.name, model.identity.name.lower(), str(len(model.schema.columns)), versions, model.events_table
        )
    Console().print(table)


@verbs.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of the model, in any spelling that folds to it.")],
    address: Address = DEFAULT_ADDRESS,
    project: Project = "",
) -> None:
    """Show a model: its columns, its tables, its policies."""
    with connected(address, project) as client:
        info = client.get_model(name).info
    if info is None:
        fail(f"the service said nothing of the model {name!r}")
    _print(info)


@verbs.command()
def stats(
    name: Annotated[str, typer.Argument(help="Name of the model, in any spelling that folds to it.")],
    address: Address = DEFAULT_ADDRESS,
    project: Project = "",
) -> None:
    """Show how much a model has stored: rows, bytes, chunks, times. ≈ marks the database's estimates."""
    with connected(address, project) as client:
        told = client.model(name).statistics()
    _print_stats(told)


@verbs.command()
def sample(
    name: Annotated[str, typer.Argument(help="Name of the model.")],
    rate: Annotated[float, typer.Argument(help="Share of its events to keep from now on, above 0 and at most 1.")],
    address: Address = DEFAULT_ADDRESS,
    project: Project = "",
) -> None:
    """Keep a share of a model's events from now on; connected clients follow."""
    with connected(address, project) as client:
        info = client.update_model(name, sampling_rate=rate)
    typer.echo(f"{info.name} keeps {info.sampling_rate:.4g} of its events from now on")


@contextmanager
def connected(address: str, project: str) -> Iterator[Client]:
    """Give a client of the service; what goes wrong with it ends the process with a plain message."""
    import headrace

    key_file, ca_file = os.environ.get("HEADRACE_API_KEY_FILE"), os.environ.get("HEADRACE_CA_FILE")
    try:
        with headrace.connect(
            address,
            project=project,
            api_key=Path(key_file) if key_file else os.environ.get("HEADRACE_API_KEY"),
            tls=headrace.Tls(roots=ca_file) if ca_file else None,
            settings=headrace.Settings(call_timeout_s=10.0),
        ) as client:
            yield client
    except headrace.HeadraceError as error:
        hint = f"; is headrace serving at {address}?" if error.retryable else ""
        fail(f"{error} ({error.reason}){hint}")


def _print(model: ModelInfo) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from headrace.schemas.text import HEADINGS, cells_of, task_of

    console = Console()
    facts = Table(box=None, show_header=False)
    for label, value in (
        ("model", f"{model.project}.{model.name}"),
        ("versions", ", ".join(model.versions) or "–"),
        ("task", task_of(model.schema)),
        ("identity", model.identity.name.lower()),
        ("unknown columns", model.unknown_columns.name.lower()),
        ("events in", model.events_table),
        ("labels in", model.labels_table or "–"),
        ("joined in", model.joined_view or "–"),
        ("sampling rate", f"{model.sampling_rate:g}"),
        ("revision", str(model.revision)),
    ):
        facts.add_row(label, value)
    console.print(facts)
    columns = Table(box=box.SIMPLE_HEAD)
    for heading in (*HEADINGS, "about"):
        columns.add_column(heading, overflow="fold")
    for column in model.schema.columns:
        columns.add_row(*cells_of(column), column.description)
    console.print(columns)


def _print_stats(told: ModelStatistics) -> None:
    from rich import box
    from rich.console import Console
    from rich.filesize import decimal
    from rich.table import Table

    tables = Table(box=box.SIMPLE_HEAD)
    for heading in ("what", "rows", "size", "chunks", "table"):
        tables.add_column(heading, justify="right" if heading in {"rows", "size", "chunks"} else "left")
    kinds = {"events": told.events, **told.late, **{f"{kind}, waiting": it for kind, it in told.waiting.items()}}
    for what, table in kinds.items():
        tables.add_row(what, _shown(table.rows), decimal(table.total_bytes), str(table.chunks or "–"), table.table)
    facts = Table(box=None, show_header=False)
    for label, time, exact in (
        ("first event", told.first_event_time, told.first_event_time_exact),
        ("last event", told.last_event_time, told.last_event_time_exact),
    ):
        facts.add_row(label, "–" if time is None else f"{'' if exact else '≈ '}{time.isoformat()}")
    facts.add_row("in the last minute", _shown(told.events_last_minute))
    facts.add_row("in the last hour", _shown(told.events_last_hour))
    console = Console()
    console.print(tables)
    console.print(facts)


def _shown(count: RowCount) -> str:
    return f"{'' if count.exact else '≈ '}{count.rows:,}"
