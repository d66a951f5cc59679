# ruff: noqa: PLC0415
"""`headrace delivery`: where every row of a producer is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from headrace_server.cli.failure import FAILED, fail
from headrace_server.cli.models import connected
from headrace_server.cli.options import DEFAULT_ADDRESS, Address, Project
from headrace_server.cli.whole_lines import print_lines

if TYPE_CHECKING:
    from headrace import ProducerDelivery

_SETTLED = ("stored", "duplicate", "conflict", "rejected", "skipped")
_WAITING = ("spooled", "buffered", "in_flight")
_ALWAYS_SHOWN = frozenset({"logged", "stored", "unexplained"})  # in a list; of the others what is not 0 everywhere


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
    if not found:
        typer.echo("no producer has opened a session yet")
        return
    counts = {
        "logged": [told.logged for told in found],
        "dropped": [sum(told.dropped.values()) for told in found],
        "waiting": [sum(getattr(told, name) for name in _WAITING) for told in found],
        **{name: [getattr(told, name) for told in found] for name in _SETTLED},
        "unexplained": [told.unexplained for told in found],
    }
    shown = {name: column for name, column in counts.items() if name in _ALWAYS_SHOWN or any(column)}
    rows = [
        (told.producer_id, f"{told.last_seen_time:%Y-%m-%d %H:%M}", *(f"{count:,}" for count in row))
        for told, *row in zip(found, *shown.values(), strict=True)
    ]
    print_lines(("producer", "last seen", *shown), rows, numbers=tuple(shown))
