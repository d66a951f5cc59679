"""What the demo says at its end: the verdicts, the model's performance by month, and what is not as it should be."""

from calendar import month_name
from collections.abc import Iterator, Sequence

from asyncpg import Record
from rich import box
from rich.table import Table

from examples.flights.tally import VERDICTS, Tallies

USUAL = ("stored", "duplicate", "rejected", "joined", "parked")


def verdicts(tallies: Tallies, seconds: float) -> Table:
    """Return the verdicts on all rows, and the rates."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=f"{tallies.rows:,} rows in {seconds:.1f} s")
    met = tallies.events.verdicts + tallies.labels.verdicts
    shown = [verdict for verdict in VERDICTS if verdict in USUAL or met[verdict]]
    for heading in ("", "rows", *shown, "rows/s"):
        table.add_column(heading, justify="right")
    for name, tally in (("events", tallies.events), ("labels", tallies.labels)):
        counts = (tally.rows, *(tally.verdicts[verdict] for verdict in shown), round(tally.rows / seconds))
        table.add_row(name, *(f"{count:,}" for count in counts))
    table.add_row("both", f"{tallies.rows:,}", *[""] * len(shown), f"{tallies.rows / seconds:,.0f}", style="bold")
    return table


def by_month(months: Sequence[Record]) -> Table:
    """Return the model's performance by month; a dash stands where no label allows a number."""
    table = Table(box=box.SIMPLE_HEAD, title="read back by SQL from main.flight_delay_joined")
    for heading in ("", "flights", "labelled", "late", "accuracy", "precision", "recall"):
        table.add_column(heading, justify="right")
    for month in months:
        shares = (month[name] for name in ("late", "accuracy", "precision", "recall"))
        table.add_row(
            month_name[month["month"]] if month["month"] else "all",
            f"{month['flights']:,}",
            f"{month['labelled']:,}",
            *("–" if share is None else f"{share:.1%}" for share in shares),
            style=None if month["month"] else "bold",
        )
    return table


def faults(tallies: Tallies) -> Iterator[str]:
    """Yield what became of rows that are not stored as they were sent, in words."""
    for tally in (tallies.events, tallies.labels):
        if tally.rows < tally.expected:
            yield f"{tally.expected - tally.rows:,} {tally.name} have no verdict: they were dropped or set aside"
        if tally.verdicts["conflict"]:
            yield f"{tally.verdicts['conflict']:,} {tally.name} differ from what is stored under the same id and time"
        for refusal, rows in tally.refusals.items():
            yield f"{rows:,} {tally.name} rejected: {refusal}"
