# ruff: noqa: PLC0415
"""`headrace dead-letters`: rows that a running service refused and keeps."""

from __future__ import annotations

import json
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated, TypeAlias, cast

import typer

from headrace_server.cli.failure import FAILED, MISUSED, fail
from headrace_server.cli.models import connected
from headrace_server.cli.options import DEFAULT_ADDRESS, Address, Project

if TYPE_CHECKING:
    from headrace import DeadLetter, LetterFilter

verbs = typer.Typer(help="Rows that a running service refused and keeps.", no_args_is_help=True)

ModelName: TypeAlias = Annotated[str, typer.Option("--model", "-m", help="Only of this model, as the batch named it.")]
Kind: TypeAlias = Annotated[str, typer.Option(help="Only of this kind: events, labels …")]
Reason: TypeAlias = Annotated[str, typer.Option(help="Only those refused for this reason: WRONG_TYPE …")]
ColumnName: TypeAlias = Annotated[str, typer.Option("--column", help="Only those with this column at fault.")]
Since: TypeAlias = Annotated[datetime | None, typer.Option(help="Only those refused at this time (UTC) or later.")]
Until: TypeAlias = Annotated[datetime | None, typer.Option(help="Only those refused before this time (UTC).")]
State: TypeAlias = Annotated[str, typer.Option(help="waiting, replayed or any.")]
Ids: TypeAlias = Annotated[list[int] | None, typer.Argument(help="Numbers of letters.")]
Everything: TypeAlias = Annotated[bool, typer.Option("--all", help="Mean every letter that waits.")]


@verbs.command("list")
def list_letters(
    *,
    model: ModelName = "",
    kind: Kind = "",
    reason: Reason = "",
    column: ColumnName = "",
    since: Since = None,
    until: Until = None,
    state: State = "waiting",
    limit: Annotated[int, typer.Option(min=1, help="Most letters to show.")] = 50,
    address: Address = DEFAULT_ADDRESS,
    project: Project = "",
) -> None:
    """List dead letters, newest first."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    with connected(address, project) as client:
        found = client.dead_letters.list(
            **_filter(model=model, kind=kind, reason=reason, column=column, since=since, until=until, state=state)
        )
        letters = list(islice(found, limit + 1))
    if not letters:
        typer.echo("no dead letters")
        return
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("id", "refused", "model", "kind", "reason", "column", "message"):
        table.add_column(heading, overflow="fold")
    for letter in letters[:limit]:
        table.add_row(
            str(letter.id),
            f"{letter.create_time:%Y-%m-%d %H:%M:%S}",
            letter.model,
            letter.kind.lower(),
            letter.reason,
            letter.column,
            letter.message,
        )
    Console().print(table, markup=False)
    if len(letters) > limit:
        typer.echo(f"there are more than {limit}: see them with --limit, or narrow them with --model, --reason …")


@verbs.command()
def show(
    id: Annotated[int, typer.Argument(help="Number of the letter.", min=1)],  # noqa: A002 - its name in the usage text
    address: Address = DEFAULT_ADDRESS,
    project: Project = "",
) -> None:
    """Show a letter: why it was refused, and what it holds."""
    with connected(address, project) as client:
        _print(client.dead_letters.get(id))


@verbs.command()
def replay(
    *,
    ids: Ids = None,
    everything: Everything = False,
    model: ModelName = "",
    kind: Kind = "",
    reason: Reason = "",
    column: ColumnName = "",
    since: Since = None,
    until: Until = None,
    address: Address = DEFAULT_ADDRESS,
    project: Project = "",
) -> None:
    """Store letters after all, once what was wrong has been put right; none is ever stored twice.

    Exit code 1 when some are refused again: they stay, with the new reason.
    """
    wanted = _filter(model=model, kind=kind, reason=reason, column=column, since=since, until=until)
    _require_choice(ids, everything, wanted)
    with connected(address, project) as client:
        result = client.dead_letters.replay(ids or None, **wanted)
    typer.echo(
        f"{result.tried:,} letters tried: {result.stored:,} stored, {result.duplicate:,} had been stored before,"
        f" {result.refused:,} refused again"
    )
    for refusal in result.refusals[:20]:
        column_at_fault = f" in {refusal.column}" if refusal.column else ""
        typer.echo(f"  {refusal.id}: {refusal.reason}{column_at_fault}: {refusal.message}")
    if result.refused:
        raise typer.Exit(FAILED)


@verbs.command()
def drop(
    *,
    ids: Ids = None,
    everything: Everything = False,
    model: ModelName = "",
    kind: Kind = "",
    reason: Reason = "",
    column: ColumnName = "",
    since: Since = None,
    until: Until = None,
    state: State = "waiting",
    address: Address = DEFAULT_ADDRESS,
    project: Project = "",
) -> None:
    """Remove letters for good."""
    wanted = _filter(model=model, kind=kind, reason=reason, column=column, since=since, until=until)
    _require_choice(ids, everything, wanted)
    with connected(address, project) as client:
        dropped = client.dead_letters.drop(ids or None, **(wanted | _filter(state="any" if ids else state)))
    typer.echo(f"{dropped:,} letters dropped")


def _filter(**options: str | datetime | None) -> LetterFilter:
    """What was given of the options."""
    return cast("LetterFilter", {name: value for name, value in options.items() if value})


def _require_choice(ids: list[int] | None, everything: bool, wanted: LetterFilter) -> None:
    if not (ids or everything or wanted):
        fail("say which letters are meant: numbers, --model, --reason … or --all", MISUSED)


def _print(letter: DeadLetter) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    facts = Table(box=None, show_header=False)
    origin = (
        f"producer {letter.producer_id}, seq {letter.seq}" if letter.producer_id else f"request {letter.request_id}"
    )
    for label, value in (
        ("letter", str(letter.id)),
        ("model", f"{letter.project}.{letter.model} ({letter.kind.lower()})"),
        ("reason", f"{letter.reason}{f' in {letter.column}' if letter.column else ''}"),
        ("message", letter.message),
        ("SQLSTATE", letter.sqlstate or "–"),
        ("came by", origin),
        ("row", "the whole batch" if letter.row is None else str(letter.row)),
        ("refused", f"{letter.create_time:%Y-%m-%d %H:%M:%S} UTC"),
        ("replays", str(letter.replays)),
        ("stored", f"{letter.replayed_time:%Y-%m-%d %H:%M:%S} UTC" if letter.replayed_time else "–"),
        ("bytes", f"{letter.payload_bytes:,}{'' if letter.is_whole else ', of which only the head is kept'}"),
    ):
        facts.add_row(label, value)
    console.print(facts, markup=False)
    if letter.rows is None:
        console.print("it cannot be decoded; its bytes are in headrace.dead_letters", markup=False)
    for row in letter.rows or ():
        console.print_json(json.dumps(row))
