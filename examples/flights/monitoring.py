"""Monitoring a model through half a year: baseline, drift, performance, influences, a shadow, labels revised.

The first half of 2013 is the baseline, the second half production. What headrace says of it is set beside what pandas
computes of the same flights; the exit code is 0 when both agree in every figure.

Usage: make demo-monitoring, or python -m examples.flights.monitoring --help
"""

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Iterator, Mapping

import asyncpg
import pandas as pd
from rich.console import Console
from rich.logging import RichHandler

import headrace
from examples.flights import delay_model, joined_view, read_back, recomputed, second_half
from examples.flights.agreement import Figure, table
from examples.flights.half_years import HalfYears, half_years
from examples.flights.timetable import read_flights

REGISTER_S = 10.0
PAUSE_S = 1.0

console = Console()


def main() -> int:
    """Run it; return the exit code."""
    logging.basicConfig(
        level=logging.WARNING, format="%(message)s", handlers=[RichHandler(console=console, show_path=False)]
    )
    given = arguments()
    try:
        return monitoring(given)
    except (headrace.HeadraceError, joined_view.UnreachableError, OSError, asyncpg.PostgresError) as error:
        console.print(str(error), style="red", markup=False)
        if isinstance(error, headrace.ServiceError) and error.retryable:
            console.print(f"No headrace answers at {given.address}: run [bold]make run[/] first, in another terminal.")
    except KeyboardInterrupt:
        console.print("stopped; what has a verdict stays")
    return 1


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(prog="make demo-monitoring", description="Monitor a model through half a year.")
    parser.add_argument("--address", default="localhost:50051", help="of the service (default: %(default)s)")
    parser.add_argument("--database-url", help="of its database (default: what `headrace db url` says)")
    parser.add_argument("--days", type=int, help="only so many days before and after the first of July (default: all)")
    parser.add_argument(
        "--patience", type=float, default=900.0, help="seconds that roll-ups may be behind the rows (default: 900)"
    )
    return parser.parse_args()


def monitoring(given: argparse.Namespace) -> int:
    """Replay the second half, read back what headrace says of it, and compare."""
    halves = half_years(read_flights(), given.days)
    console.print(f"{len(halves.baseline):,} flights are the baseline, {len(halves.production):,} are production")
    with headrace.connect(given.address, settings=headrace.Settings(call_timeout_s=REGISTER_S)) as client:
        model = client.register(delay_model.SCHEMA, name=model_name(given.days), version=delay_model.VERSION)
        url = given.database_url or joined_view.database_url()
        start = time.monotonic()
        faults = list(replayed(model, halves))
        console.print(f"replayed in {time.monotonic() - start:.1f} s")
        start = time.monotonic()
        figures = list(rolled_up(model, halves, given.patience))
        console.print(f"roll-ups read {time.monotonic() - start:.1f} s after the last row")
    figures += came_late(url, model.name, halves)
    console.print(table(figures))
    for fault in faults:
        console.print(fault, style="red", markup=False)
    return 0 if not faults and all(figure.agrees for figure in figures) else 1


def model_name(days: int | None) -> str:
    """Return the name of a model of this run's own; the same for the next run of as many days."""
    return "late_flights" if days is None else f"late_flights_{days}_days"


def replayed(model: headrace.Model, halves: HalfYears) -> Iterator[str]:
    """Publish everything; yield in words what was not stored as it was sent."""
    second_half.publish_baseline(model, halves.baseline)
    results = [
        *second_half.publish_days(model, halves),
        second_half.publish_shadow(model, halves),
        second_half.publish_revision(model, halves),
    ]
    for verdict in ("conflict", "rejected", "parked"):
        if rows := sum(getattr(result, verdict) for result in results):
            yield f"{rows:,} rows: {verdict}"
    yield from (f"{error.reason}: {error.message}" for result in results for error in result.errors)


def rolled_up(model: headrace.Model, halves: HalfYears, patience_s: float) -> list[Figure]:
    """Compare the roll-ups, again and again until they agree: they follow the rows by some seconds."""
    expected = recomputed.rolled_up(halves)
    deadline = time.monotonic() + patience_s
    while True:
        said = read_back.rolled_up(model)
        figures = list(compared(said, expected))
        if all(figure.agrees for figure in figures) or time.monotonic() > deadline:
            return figures
        time.sleep(PAUSE_S)


def came_late(url: str, model: str, halves: HalfYears) -> Iterator[Figure]:
    """Compare what came late: influences, what was known in the middle of it all, labels before and after revision."""
    days = halves.production["day"].unique().sort()
    evening = pd.Timestamp(days[len(days) // 2])
    said = asyncio.run(read_back.came_late(url, model, evening.to_pydatetime()))
    for figure in compared(said, recomputed.came_late(halves, evening)):
        yield from figure.one_by_one()


def compared(said: Mapping[str, pd.Series], expected: Mapping[str, pd.Series]) -> Iterator[Figure]:
    """Set what headrace says beside what pandas says; an AUC comes with what it may differ by."""
    for name, series in expected.items():
        group, _, measure = name.rpartition(": ")
        allowed = said[": ".join(filter(None, (group, "auc_error")))] if measure == "auc" else 0.0
        yield Figure(name, said[name], series, allowed)


if __name__ == "__main__":
    sys.exit(main())
