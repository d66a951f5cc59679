"""Writes what a run has found: latest.json for machines, latest.md for people, pictures, and the page in docs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import page, pictures
from benchmarks.outcome import Outcome
from benchmarks.targets import held_against

FOLDER = Path(__file__).parent / "results"


def write(folder: Path, outcome: Outcome, machine: dict[str, Any], *, took_s: float) -> None:
    """Write everything.

    Args:
        folder: Where.
        outcome: What was found; its figures are top-level keys of latest.json, under their public names.
        machine: What it was found on.
        took_s: How long it took.
    """
    folder.mkdir(parents=True, exist_ok=True)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    facts = {"when": when, "took_s": round(took_s), **machine}
    figures = {name: float(f"{value:.4g}") for name, value in sorted(outcome.figures.items())}
    spreads = {name: [float(f"{end:.4g}") for end in ends] for name, ends in sorted(outcome.spreads.items())}
    text = json.dumps(figures | {"spread": spreads, "machine": facts}, indent=2, ensure_ascii=False)
    (folder / "latest.json").write_text(text + "\n")
    grids = [held_against(outcome.figures, outcome.spreads), *outcome.grids]
    measured = f"{_told(facts)}\n\n" + "\n".join(grid.markdown() for grid in grids)
    (folder / "latest.md").write_text(measured)
    if folder == FOLDER:
        page.PAGE.write_text(page.renewed(page.PAGE.read_text(), measured))
    pictures.draw(outcome, folder)


def _told(facts: dict[str, Any]) -> str:
    others = facts["others"]
    return (
        f"Measured {facts['when']} on {facts['cores']} cores ({facts['processor']}, {facts['memory_gb']} GB), Linux "
        f"{facts['kernel']}, Python {facts['python']}, PostgreSQL {facts['postgresql']}, TimescaleDB "
        f"{facts['timescaledb']} (fsync {facts['fsync']}), headrace at `{facts['commit']}`. Share of the machine that "
        f"other processes took during the turns: {others['median']:.0%}, at most {others['most']:.0%}."
    )
