# ruff: noqa: PLC0415
"""`headrace delivery`: where every row of a producer is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from headrace_server.cli.failure import FAILED, fail
from headrace_server.cli.models import connected
from headrace_server.cli.options import DEFAULT_ADDRESS, Address, Project

if TYPE_CHECKING:
    from headrace import ProducerDelivery

_SETTLED = ("stored", "duplicate", "conflict", "rejected", "skipped")
_WAITING = ("spooled", "buffered", "in_flight")


def delivery(
    producer: Annotated[str, typer.Argument(help="A producer's UUID. Default: a line for each of the project.")] = "",
    address: Address = DEFAULT_ADDRESS,
    project: Project = "",
) -> None:
    """Say where every row is: logged, dropped, waiting, stored, refused.

    Exit code 1 when rows are nowhere.
    """
    with connected(address, project) as client:
        found = client.delivery_report(producer)
    if producer and not found:
        fail(f"the ledger knows no producer {producer}; it forgets one 30 days after its last batch")
    if producer:
        _print_one(found[0])
    else:
        _print_all(found)
    if any(each.unexplained or each.gaps for each in found):
        raise typer.Exit(FAILED)


def _print_one(told: ProducerDelivery) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    reported = f"{told.report_time:%Y-%m-%d %H:%M:%S} UTC" if told.report_time else "never"
    rows = [("logged", told.logged, f"as the client reported it, {reported}")]
    rows += [("  dropped", count, reason) for reason, count in sorted(told.dropped.items())]
    rows += [(f"  {name.replace('_', ' ')}", getattr(told, name), "by the client, then") for name in _WAITING]
    rows += [("  quarantined", told.quarantined, "set aside by the client")] if told.quarantined else []
    rows += [(f"  {name}", getattr(told, name), "by the ledger, now") for name in _SETTLED]
    rows += [("  unexplained", told.unexplained, "nowhere" if told.unexplained else "all rows are accounted for")]
    for name, count, remark in rows:
        table.add_row(name, f"{count:,}", remark)
    console = Console()
    console.print(f"{told.producer_id}, {told.client}, committed through batch {told.last_seq}", markup=False)
    console.print(table)
    if told.undecodable_batches:
        console.print(f"{told.undecodable_batches:,} batches could not be decoded: their rows are not counted")
    for gap in told.gaps:
        console.print(
            f"batches {gap.from_seq} to {gap.through_seq} had been acknowledged and are gone: the database went back"
            f" in time, noticed {gap.noticed_time:%Y-%m-%d %H:%M:%S} UTC"
        )


def _print_all(found: list[ProducerDelivery]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    if not found:
        typer.echo("no producer has opened a session yet")
        return
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("producer", "last seen", "logged", "dropped", "waiting", *_SETTLED, "unexplained"):
        table.add_column(heading, overflow="fold", justify="left" if heading in {"producer", "last seen"} else "right")
    for told in found:
        counts = (
            told.logged,
            sum(told.dropped.values()),
            sum(getattr(told, name) for name in _WAITING),
            *(getattr(told, name) for name in _SETTLED),
            told.unexplained,
        )
        table.add_row(told.producer_id, f"{told.last_seen_time:%Y-%m-%d %H:%M}", *(f"{count:,}" for count in counts))
    Console().print(table)
