"""Labels in random order against events over 60 weekly chunks, with and without the events' times, while tables grow.

Join states are counted and must be exact: every label of an event JOINED (at once, or by the resolver after PENDING),
every label of nobody's event waiting in the inbox, and the joined view showing each event the value it was sent.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from time import perf_counter

import numpy as np
import pyarrow as pa

import headrace
from benchmarks.arena import Arena
from benchmarks.cpu import Cpu
from benchmarks.outcome import Grid, Outcome
from benchmarks.scale import Scale

MODEL = "labelled"
TABLE = f"main.{MODEL}"
WEEKS = 60
START = datetime(2023, 1, 2, tzinfo=UTC)
STEPS = 10
ORPHANS = 100  # one label in so many is of an event that never comes
SETTLED_WITHIN_S = 300.0
NOTE = (
    "publish() of Arrow tables; ids are texts that carry no time. Rates are labels a second from the first row to the "
    "last ack, while the table of labels grows; processor time is that of client + service + database, a row. One "
    "label in 100 is of no event; the resolver takes from the last ack to the moment when nothing waits but those."
)


def run(arena: Arena, scale: Scale) -> Outcome:
    """Store events once, and their labels twice: with their times and without."""
    count = scale.late_rows
    labels = headrace.Schema(
        features={"distance": "float64"}, predictions={"score": "float64"}, labels={"late": "int64"}
    )
    model = arena.client.register(labels, name=MODEL)
    events = _events(count)
    begun, spent = perf_counter(), arena.meter.read(arena.service.pid)
    stored = model.publish(events).stored
    _expect("events stored", stored, count)
    outcome = Outcome()
    rate = f"{count / (perf_counter() - begun):,.0f}"
    lines = [["events, in order of time", "", "", rate, _spent(arena, spent, count), "", ""]]
    for with_times in (True, False):
        arena.execute(f"TRUNCATE {TABLE}_labels, {TABLE}_labels_inbox")
        lines.append(_measured(arena, model, events, with_times, outcome))
    heads = ["", "to 0.1", "to 0.5", "to 1", "processor µs", "PENDING first", "resolver, s"]
    outcome.grids.append(Grid(f"{count:,} labels in random order, {WEEKS} weekly chunks", heads, lines, NOTE))
    return outcome


def _measured(arena: Arena, model: headrace.Model, events: pa.Table, with_times: bool, outcome: Outcome) -> list[str]:
    """Send the labels of all events in random order; return the line of the grid."""
    order = np.random.default_rng(7).permutation(len(events))
    rates, joined, parked, pending = [], 0, 0, 0
    spent = arena.meter.read(arena.service.pid)
    for part in np.array_split(order, STEPS):
        labels = _labels(events, part, with_times)
        begun = perf_counter()
        result = model.publish(labels, kind="labels")
        rates.append(len(labels) / (perf_counter() - begun))
        joined, parked, pending = joined + result.joined, parked + result.parked, pending + result.pending
        _expect("labels stored", result.stored, len(labels))
    processor = _spent(arena, spent, len(order))
    orphans = STEPS * (len(order) // STEPS // ORPHANS)
    if with_times:
        _expect("labels joined", joined, len(order))
        _expect("labels parked", parked, orphans)
    _expect("labels answered", joined + parked + pending, len(order) + orphans)
    waited = _until_settled(arena, orphans)
    _expect("labels beside their events", arena.query(f"SELECT count(*) FROM {TABLE}_labels"), len(order))
    wrong = f"SELECT count(*) FROM {TABLE}_joined WHERE late IS DISTINCT FROM distance::bigint"
    _expect("events without their label", arena.query(wrong), 0)
    name = "with_times" if with_times else "without_times"
    outcome.figures[f"late_labels.{name}"] = (len(order) + orphans) / sum(
        (len(order) + orphans) / STEPS / rate for rate in rates
    )
    outcome.figures[f"late_labels.{name}_settled_s"] = waited
    outcome.series[f"labels a second, {name}"] = [((n + 1) / STEPS, rate) for n, rate in enumerate(rates)]
    shown = [f"{rates[at]:,.0f}" for at in (0, STEPS // 2 - 1, STEPS - 1)]
    return [name.replace("_", " "), *shown, processor, f"{pending / (len(order) + orphans):.0%}", f"{waited:.1f}"]


def _spent(arena: Arena, before: Cpu, rows: int) -> str:
    """Processor time a row since a reading: the client's, the service's, the database's."""
    cpu = arena.meter.read(arena.service.pid).since(before).us_a_row(rows)
    return f"{cpu.client:.1f} + {cpu.service:.1f} + {cpu.database:.1f}"


def _until_settled(arena: Arena, orphans: int) -> float:
    """Wait until nothing is in the inbox but labels of no event; return the seconds that took."""
    begun = time.monotonic()
    while arena.query(f"SELECT count(*) FROM {TABLE}_labels_inbox") > orphans:
        if time.monotonic() - begun > SETTLED_WITHIN_S:
            raise RuntimeError("labels are still waiting for events that are there")
        time.sleep(0.2)
    return time.monotonic() - begun


def _events(count: int) -> pa.Table:
    """Events evenly over the weeks; `distance` is what each will be labelled with."""
    numbers = np.arange(count)
    step = WEEKS * timedelta(days=7) / count
    times = int(START.timestamp() * 1e6) + numbers * (step // timedelta(microseconds=1))
    mixed = (numbers * 2_654_435_761) % 4_294_967_291  # so that ids and times are in different orders
    return pa.table(
        {
            "event_id": pa.array([f"ev-{number:010d}-{at}" for at, number in enumerate(mixed.tolist())]),
            "event_time": pa.array(times).cast(pa.timestamp("us", tz="UTC")),
            "distance": pa.array(numbers.astype(np.float64)),
            "score": pa.array(np.full(count, 0.5)),
        }
    )


def _labels(events: pa.Table, part: np.ndarray, with_times: bool) -> pa.Table:
    """The labels of some events, and among them some of no event."""
    chosen = events.take(pa.array(part))
    columns = {"event_id": chosen["event_id"], "late": chosen["distance"].cast(pa.int64())}
    if with_times:
        columns["event_time"] = chosen["event_time"]
    labels = pa.table(columns)
    strangers = labels.slice(0, len(part) // ORPHANS)
    ids = pa.array([f"no-{name}" for name in strangers["event_id"].to_pylist()])
    strangers = strangers.set_column(0, "event_id", ids)
    mixed = np.random.default_rng(8).permutation(len(labels) + len(strangers))
    return pa.concat_tables([labels, strangers]).take(pa.array(mixed))


def _expect(what: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise RuntimeError(f"{what}: {found}, not {wanted}")
