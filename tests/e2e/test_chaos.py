"""The short form of `make chaos`: 25 faults dealt to real processes while producers log, and every row looked for."""

from __future__ import annotations

from pathlib import Path
from random import randrange

import pytest

from chaos import schedule
from support.timescale import TimescaleCluster


@pytest.mark.timeout(240)
async def test_nothing_is_lost_doubled_or_altered(timescale: TimescaleCluster, tmp_path: Path) -> None:
    run = schedule.short(randrange(1_000_000))
    print(f"again: make chaos SHORT=1 SEED={run.seed}")
    await run.on(timescale, tmp_path)
    print(*run.verdict.findings, sep="\n")
    assert run.cycles == len(run.faults)
    assert run.verdict.is_clean, run.verdict
