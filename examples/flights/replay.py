"""The replay: departures are sent as events, landings as labels, in the order of the year.

In: scored flights and the handle of their model. Out: events on one session of the client, labels on another.
`at_full_speed` publishes tables, as a job does that moves a day's log; `paced` logs row by row, as a model server does.
Neither does anything about a service that goes away in between: the client keeps the rows and resumes by itself.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import polars as pl

import headrace
from examples.flights.delay_model import EXTRAS, FEATURES, LABELS, PREDICTION
from examples.flights.tally import Tallies
from examples.flights.timetable import moments, spans

INPUTS = [*FEATURES, *EXTRAS]
EVENT_COLUMNS = ["event_id", "event_time", *INPUTS, PREDICTION]
LABEL_COLUMNS = ["event_id", "event_time", "label_time", *LABELS]
DEPARTURES_A_SPAN = 10_000
AWAY_S = 600.0  # how long the service may be away in mid-replay before the demo gives up


def at_full_speed(model: headrace.Model, flights: pl.DataFrame, tallies: Tallies) -> None:
    """Replay as fast as the service takes the rows, departures and landings side by side."""
    with ThreadPoolExecutor(max_workers=2) as lanes:
        for departures, landings in spans(flights, DEPARTURES_A_SPAN):
            leaving = lanes.submit(model.publish, departures.select(EVENT_COLUMNS), timeout=AWAY_S)
            landing = lanes.submit(model.publish, landings.select(LABEL_COLUMNS), update=True, timeout=AWAY_S)
            tallies.events.add(leaving.result())
            tallies.labels.add(landing.result())


def paced(model: headrace.Model, flights: pl.DataFrame, rows_per_second: float) -> None:
    """Replay so many rows a second; their verdicts come to the client's on_result."""
    start = time.monotonic()
    for row, (_, kind, flight) in enumerate(moments(flights)):
        ahead_s = row / rows_per_second - (time.monotonic() - start)
        if ahead_s > 0:
            time.sleep(ahead_s)
        if kind == "departure":
            model.log(
                {name: flight[name] for name in INPUTS},
                predictions={PREDICTION: flight[PREDICTION]},
                event_id=flight["event_id"],
                event_time=flight["event_time"],
            )
        else:
            model.log_label(
                flight["event_id"],
                event_time=flight["event_time"],
                label_time=flight["label_time"],
                **{name: flight[name] for name in LABELS},
            )
