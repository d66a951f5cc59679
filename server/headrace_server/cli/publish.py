# ruff: noqa: PLC0415
"""`headrace publish`: a file of events, labels or another late kind, through the SDK like any other client's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace_server.cli.failure import FAILED, fail
from headrace_server.cli.models import connected
from headrace_server.cli.options import DEFAULT_ADDRESS, Address, Project

if TYPE_CHECKING:
    from rich.console import Console

    from headrace import PublishResult

CHUNK_BYTES = 1 << 20
MOST_ERRORS_SHOWN = 20

Columns = list[str] | None


def publish(
    *,
    file: Annotated[Path, typer.Argument(help="A .csv or .parquet file.", exists=True, dir_okay=False)],
    model: Annotated[str, typer.Option("--model", "-m", help="Model the rows belong to.")],
    version: Annotated[str, typer.Option(help="Version of the model that served them.")] = "",
    address: Address = DEFAULT_ADDRESS,
    project: Project = "",
    event_id: Annotated[str | None, typer.Option(help="Column of ids. Default: event_id, else new ones.")] = None,
    event_time: Annotated[str | None, typer.Option(help="Column of times. Default: event_time, else now.")] = None,
    features: Annotated[
        Columns, typer.Option("--feature", help="A feature; may be repeated. Default: the rest.")
    ] = None,
    predictions: Annotated[Columns, typer.Option("--prediction", help="A prediction; may be repeated.")] = None,
    labels: Annotated[
        Columns, typer.Option("--labels", help="A label; may be repeated. Default: the registered ones.")
    ] = None,
    kind: Annotated[
        str, typer.Option(help="What the rows are: events, labels, influences, variants or metrics.")
    ] = "events",
    update: Annotated[bool, typer.Option("--update", help="The same as --kind labels.")] = False,
    validate_only: Annotated[
        bool, typer.Option("--validate-only", help="Write nothing; say what would become of the rows.")
    ] = False,
) -> None:
    """Publish a file and wait until every row is settled; or say what would become of its rows (--validate-only).

    Exit code 1 when a row was rejected or conflicts with a stored one; a second run stores nothing twice where the
    file has ids and times.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from headrace_server.cli.rate import RowsPerSecond

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        RowsPerSecond(),
        TimeElapsedColumn(),
    )
    console = Console()
    with connected(address, project) as client, Progress(*columns, console=console) as progress:
        # The registry tells which columns are labels, and an unknown model before the first row is read.
        handle = client.get_model(model, version)
        task = progress.add_task(file.name, total=count_rows(file))
        try:
            result = handle.publish(
                file,
                event_id=event_id,
                event_time=event_time,
                features=features,
                predictions=predictions,
                labels=labels,
                kind=kind,
                update=update,
                validate_only=validate_only,
                on_progress=lambda rows: progress.update(task, completed=rows),
            )
        except OSError as error:
            fail(f"{file}: {error.strerror or error}")
        progress.update(task, total=result.rows, completed=result.rows)
    _print(console, result, "labels" if update else kind)
    if result.labels is not None:
        _print(console, result.labels, "labels")
    if any(part is not None and _bad(part) for part in (result, result.labels)):
        raise typer.Exit(FAILED)


def count_rows(file: Path) -> int | None:
    """Return how many rows a file has for its progress bar: exact for Parquet, nearly so for CSV, else None."""
    if file.suffix == ".parquet":
        from pyarrow import ArrowInvalid, parquet

        try:
            return int(parquet.read_metadata(file).num_rows)
        except ArrowInvalid:
            return None
    if file.suffix == ".csv":
        with file.open("rb") as opened:
            # A line break within quotes counts as well; the bar's end is put right when the file is done.
            lines = sum(chunk.count(b"\n") for chunk in iter(lambda: opened.read(CHUNK_BYTES), b""))
        return max(lines - 1, 0)
    return None


def _bad(result: PublishResult) -> bool:
    return bool(result.rejected or result.conflict or result.quarantined)


def _print(console: Console, result: PublishResult, what: str) -> None:
    from rich import box
    from rich.table import Table

    counts = Table(box=box.SIMPLE_HEAD, title=what, title_justify="left")
    names = ("rows", "stored", "duplicate", "conflict", "rejected", "joined", "parked", "pending", "quarantined")
    # What every batch has, and what this one has of the rest.
    shown = [name for name in names if name in {"rows", "stored", "rejected"} or getattr(result, name)]
    for name in shown:
        counts.add_column(name, justify="right")
    counts.add_row(*(f"{getattr(result, name):,}" for name in shown))
    console.print(counts)
    for error in result.errors[:MOST_ERRORS_SHOWN]:
        first = ", ".join(map(str, error.rows[:5])) + (" …" if len(error.rows) > 5 else "")
        column = f" in {error.column}" if error.column else ""
        console.print(f"{len(error.rows):,} × {error.reason}{column}: {error.message} (rows {first})", markup=False)
