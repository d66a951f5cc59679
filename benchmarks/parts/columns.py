"""The figures the work is steered by: publish() and log() against raw COPY of the same bytes, APPEND and UNIQUE."""

from __future__ import annotations

from benchmarks.arena import Arena
from benchmarks.contest import Results, Subject, contest
from benchmarks.groups import GroupSize
from benchmarks.headrace_paths.log_loop import LogLoop
from benchmarks.headrace_paths.publish import Publish, as_dicts, as_frame
from benchmarks.outcome import Outcome
from benchmarks.peers.raw_copy import CopySource, RawCopy
from benchmarks.rows import FLIGHTS, THIRTEEN, Shape
from benchmarks.scale import Scale
from benchmarks.tables import Table, make_table
from headrace import Identity

COPY, TWO, LOG = "copy_limit", "copy, two connections", "headrace_log"
COLUMNS, DICTS = "headrace_columns", "headrace_dicts"
SOURCES = "headrace_columns publishes a DataFrame, headrace_dicts a list of dicts."


def run(arena: Arena, scale: Scale) -> Outcome:
    """Measure both shapes of row; the 13-column row gives the public figures, the flights theirs beside."""
    outcome = Outcome()
    for shape in (THIRTEEN, FLIGHTS):
        for identity in (Identity.APPEND, Identity.UNIQUE):
            outcome.add(_one(arena, scale, shape, identity))
    return outcome


def _one(arena: Arena, scale: Scale, shape: Shape, identity: Identity) -> Outcome:
    groups = GroupSize(arena)
    what = identity.name.lower()

    def table(stem: str) -> Table:
        return make_table(arena, f"{stem}_{what}", shape, identity)

    copied = table("copy")
    source = CopySource(arena, copied, groups)
    subjects: list[Subject] = [
        RawCopy(arena, COPY, copied, scale.rows, source),
        Publish(arena, COLUMNS, table("columns"), scale.rows, as_frame),
        Publish(arena, DICTS, table("dicts"), scale.rows, as_dicts),
        RawCopy(arena, TWO, table("copies"), scale.rows, source, connections=2),
    ]
    if identity is Identity.APPEND:
        subjects.append(LogLoop(arena, LOG, table("log"), scale.rows))
    rounds = scale.rounds if shape is THIRTEEN else max(1, scale.rounds - 2)
    results = contest(arena, subjects, rounds)
    title = f"{'13 columns' if shape is THIRTEEN else 'Flights, 19 columns'}, {identity.name}"
    outcome = Outcome(grids=[results.grid(title, COPY, f"Groups of {groups.rows():,} rows. {SOURCES}")])
    _name(outcome, results, what, "" if shape is THIRTEEN else f"{shape.name}.")
    return outcome


def _name(outcome: Outcome, results: Results, what: str, prefix: str) -> None:
    """Give the figures their public names."""
    for source, name in (("columns", COLUMNS), ("dicts", DICTS)):
        ratio = results.ratio(name, COPY)
        outcome.figures[f"{prefix}ratio.{source}_{what}_vs_copy"] = ratio.median
        outcome.spreads[f"{prefix}ratio.{source}_{what}_vs_copy"] = (ratio.low, ratio.high)
    for name in (COPY, COLUMNS, DICTS, LOG):
        if name in results.turns:
            outcome.figures[f"{prefix}us_per_row.{name}.{what}"] = results.cost(name).median
    if LOG in results.turns:
        ratio = results.ratio(LOG, COPY)
        outcome.figures[f"{prefix}ratio.log_vs_copy"] = ratio.median
        outcome.spreads[f"{prefix}ratio.log_vs_copy"] = (ratio.low, ratio.high)
        cpu = results.cpu(COLUMNS)
        for who in ("client", "service", "database"):
            outcome.figures[f"{prefix}cpu_us_per_row.{who}"] = getattr(cpu, who)
