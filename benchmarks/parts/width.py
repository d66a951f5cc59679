"""What a row costs with five columns and with two hundred (bench-full)."""

from __future__ import annotations

from benchmarks.arena import Arena
from benchmarks.contest import Subject, contest
from benchmarks.figures import Line, rounded
from benchmarks.groups import GroupSize
from benchmarks.headrace_paths.publish import Publish, as_dicts
from benchmarks.outcome import Grid, Outcome
from benchmarks.peers.raw_copy import CopySource, RawCopy
from benchmarks.rows import wide
from benchmarks.scale import Scale
from benchmarks.tables import make_table
from headrace import Identity

WIDTHS = (5, 13, 25, 50, 100, 200)
CELLS = 2_000_000  # of a turn, whatever the width
NOTE = "Numbers only, APPEND. The line is fitted to headrace_columns; the worst point's distance from it is told."


def run(arena: Arena, scale: Scale) -> Outcome:
    """Measure each width against raw COPY of the same rows."""
    outcome, lines, points = Outcome(), [], []
    for columns in WIDTHS:
        shape = wide(columns)
        rows = max(5_000, min(scale.rows, CELLS // columns))
        copied = make_table(arena, "copy", shape, Identity.APPEND)
        subjects: list[Subject] = [
            RawCopy(arena, "copy", copied, rows, CopySource(arena, copied, GroupSize(arena))),
            Publish(arena, "columns", make_table(arena, "columns", shape, Identity.APPEND), rows, as_dicts),
        ]
        results = contest(arena, subjects, max(1, scale.rounds - 2))
        cost = results.cost("columns").median
        points.append((float(columns), cost))
        lines.append([str(columns), rounded(cost), rounded(cost / columns), str(results.ratio("columns", "copy"))])
    line = Line.through(points)
    outcome.figures |= {"width.us_per_column": line.slope, "width.us_per_row": line.intercept}
    outcome.figures["width.worst_distance"] = line.worst
    outcome.series["width"] = points
    fit = f"{rounded(line.intercept)} µs + {rounded(line.slope)} µs × columns; worst distance {line.worst:.0%}"
    heads = ["columns", "µs/row", "µs/cell", "speed against COPY"]
    outcome.grids.append(Grid("As rows grow wide", heads, lines, f"{NOTE} {fit}"))
    return outcome
