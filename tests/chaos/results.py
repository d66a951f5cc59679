"""What runs have found, kept from command to command: the full form may be split over several."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from chaos.run import Run

FILE = Path(__file__).parent / "results.json"
PACKAGES = ("headrace", "grpcio", "protobuf", "asyncpg")


@dataclass
class Result:
    """One run of one fault.

    Attributes:
        first_s: Seconds to the first ack again, cycle by cycle.
        all_s: Seconds until every producer had one.
        load: What waited for a core on average, at the end of the run, with this machine's cores beside it.
    """

    fault: str
    seed: int
    rows: int
    lost: int
    doubled: int
    altered: int
    gaps: int
    complaints: int
    first_s: list[float]
    all_s: list[float]
    took_s: float
    date: str
    commit: str
    versions: dict[str, str]
    load: float
    cores: int

    @staticmethod
    def of(run: Run, database: dict[str, str]) -> Result:
        """The result of a run that has ended."""
        fault, verdict = run.faults[0].name, run.verdict
        recoveries = run.recoveries[fault]
        return Result(
            fault=fault,
            seed=run.seed,
            rows=verdict.rows,
            lost=verdict.lost,
            doubled=verdict.doubled,
            altered=verdict.altered,
            gaps=verdict.gaps,
            complaints=verdict.complaints,
            first_s=[round(each, 3) for each in recoveries.first],
            all_s=[round(each, 3) for each in recoveries.all],
            took_s=round(run.took_s, 1),
            date=datetime.now(UTC).date().isoformat(),
            commit=_commit(),
            versions=database | {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
            load=round(os.getloadavg()[0], 1),
            cores=len(os.sched_getaffinity(0)),
        )


def read() -> list[Result]:
    """Everything that is kept."""
    return [Result(**each) for each in json.loads(FILE.read_text())] if FILE.exists() else []


def add(result: Result) -> None:
    """Keep one more, in the place of the same run before."""
    kept = [each for each in read() if (each.fault, each.seed) != (result.fault, result.seed)]
    lines = [json.dumps(asdict(each)) for each in [*kept, result]]
    FILE.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def _commit() -> str:
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip()
