"""`python -m benchmarks [part …]`: measures, prints, and writes benchmarks/results.

Without parts everything is measured and `results/latest.json`, `results/latest.md` and the pictures are written; with
parts only these, and only printed.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks import machine, results
from benchmarks.arena import Arena, arena
from benchmarks.outcome import Outcome
from benchmarks.scale import FULL, NORMAL, QUICK, Scale
from benchmarks.targets import held_against

PARTS = (
    *(
        "columns",
        "forms",
        "peers",
        "repeats",
        "log_calls",
        "busy_thread",
        "streams",
        "ack",
        "service_cpu",
        "memory",
        "workers",
    ),
)
SWEEPS = ("growth", "width", "late_labels")


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS, *SWEEPS], help="default: all but the sweeps")
    parser.add_argument("--full", action="store_true", help="larger, and the sweeps too")
    parser.add_argument("--quick", action="store_true", help="small and rough, for trying something out")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds to wait in all for a quiet machine")
    parser.add_argument("--results", type=Path, help="folder to write to; default: benchmarks/results, for whole runs")
    asked = parser.parse_args()
    scale = FULL if asked.full else QUICK if asked.quick else NORMAL
    names = asked.parts or [*PARTS, *(SWEEPS if asked.full else ())]
    begun = time.monotonic()
    with arena(asked.patience) as place:
        facts = machine.facts(place)
        outcome = _measure(place, scale, names)
        others = place.patience.shares
    took_s = time.monotonic() - begun
    print(held_against(outcome.figures, outcome.spreads).markdown())
    facts["others"] = {"median": median(others or [0.0]), "most": max(others, default=0.0)}
    print(f"{took_s:.0f} s; others took {facts['others']} of the machine", file=sys.stderr)
    whole = not asked.parts and not asked.quick
    if folder := asked.results or (results.FOLDER if whole else None):
        results.write(folder, outcome, facts, took_s=took_s)


def _measure(place: Arena, scale: Scale, names: Sequence[str]) -> Outcome:
    """Run the parts, and print what each has found."""
    outcome = Outcome()
    for name in names:
        begun = time.monotonic()
        part = importlib.import_module(f"benchmarks.parts.{name}").run(place, scale)
        for grid in part.grids:
            print(grid.markdown(), flush=True)
        for figure, value in part.figures.items():
            print(f"{figure} = {value:.4g}", flush=True)
        print(f"— {name}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
        outcome.add(part)
    return outcome


if __name__ == "__main__":
    main()
