"""The demo from beginning to end: read, register, score, replay, and ask the database how good the model was.

Usage: make demo, make demo RATE=2000, or python -m examples.flights --help
"""

import argparse
import logging
import sys
import time

from rich.console import Console
from rich.logging import RichHandler

import headrace
from examples.flights import delay_model, joined_view, replay, summary
from examples.flights.tally import Tallies
from examples.flights.timetable import landed, read_flights

JOIN_S = 60.0  # how long labels may still be searched for after the replay
REGISTER_S = 3.0  # so that who has no service running is soon told to start one

console = Console()


def main() -> int:
    """Run the demo; return the exit code, 0 when every row is stored (now or before) and every label joined."""
    logging.basicConfig(
        level=logging.WARNING, format="%(message)s", handlers=[RichHandler(console=console, show_path=False)]
    )
    given = arguments()
    try:
        return demo(given)
    except (headrace.HeadraceError, joined_view.UnreachableError) as error:
        console.print(str(error), style="red", markup=False)
        if isinstance(error, headrace.ServiceError) and error.retryable:
            console.print(f"No headrace answers at {given.address}: run [bold]make run[/] first, in another terminal.")
    except KeyboardInterrupt:
        console.print("stopped; what has a verdict stays")
    return 1


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(prog="make demo", description="Replay a year of flights through headrace.")
    parser.add_argument("--address", default="localhost:50051", help="of the service (default: %(default)s)")
    parser.add_argument("--database-url", help="of its database (default: what `headrace db url` says)")
    parser.add_argument("--rate", type=float, help="rows a second, logged one by one (default: as fast as it goes)")
    parser.add_argument("--flights", type=int, help="only the first so many of the year (default: all)")
    return parser.parse_args()


def demo(given: argparse.Namespace) -> int:
    """Replay the year and show what came of it."""
    year = read_flights()
    first = min(given.flights or len(year), len(year))
    tallies = Tallies(departures=first, landings=len(landed(year.head(first))), console=console)
    with headrace.connect(
        given.address,
        settings=headrace.Settings(
            overflow=headrace.Overflow.BLOCK, overflow_timeout_s=replay.AWAY_S, call_timeout_s=REGISTER_S
        ),
        on_result=tallies.on_result,
    ) as client:
        model = client.register(delay_model.SCHEMA, name=delay_model.NAME, version=delay_model.VERSION)
        url = given.database_url or joined_view.database_url()

        start = time.monotonic()
        flights = delay_model.score(year).head(first)
        console.print(f"{first:,} flights scored in {time.monotonic() - start:.1f} s, before the clock starts")

        start = time.monotonic()
        with tallies.progress:
            if given.rate:
                replay.paced(model, flights, given.rate)
                client.flush(timeout=replay.AWAY_S)
            else:
                replay.at_full_speed(model, flights, tallies)
        console.print(summary.verdicts(tallies, time.monotonic() - start))

    faults = list(summary.faults(tallies))
    labels = tallies.labels.verdicts["stored"] + tallies.labels.verdicts["duplicate"]
    months = joined_view.performance(url, flights["event_time"][-1], labels, timeout_s=JOIN_S)
    console.print(summary.by_month(months))
    if months[-1]["labelled"] < labels:
        faults.append(f"{labels - months[-1]['labelled']:,} labels are not joined to an event after {JOIN_S:.0f} s")
    for fault in faults:
        console.print(fault, style="red", markup=False)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
