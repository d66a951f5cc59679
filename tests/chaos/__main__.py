"""`python -m chaos`: deals faults, holds oracles against tables, says what was lost, doubled or altered.

Its last line is `cycles=… lost=… doubled=… altered=…`; it ends with 1 when any is not 0, when a system did not recover,
or when something happened that must never happen to a user's code.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, nullcontext
from itertools import groupby
from pathlib import Path
from random import randrange

import asyncpg

from chaos import report, results, schedule
from chaos.faults import FAULTS
from chaos.run import Run
from chaos.small_disk import small_disk
from support.timescale import TimescaleCluster


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"default: all of {', '.join(FAULTS)}")
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    parser.add_argument("--cycles", type=int, default=None, help="of each fault; default: as the full form wants")
    parser.add_argument("--short", action="store_true", help="25 cycles of several faults on one system")
    parser.add_argument("--write", action="store_true", help="keep the results, and renew docs/guarantees.md")
    asked = parser.parse_args()
    if unknown := set(asked.faults) - FAULTS.keys():
        parser.error(f"no such fault: {', '.join(sorted(unknown))}")
    seed = randrange(1_000_000) if asked.seed is None else asked.seed
    faults = [FAULTS[name] for name in asked.faults or FAULTS]
    runs = [schedule.short(seed)] if asked.short else schedule.full(seed, faults, asked.cycles)
    sys.exit(asyncio.run(_run_all(runs, writes=asked.write and not asked.short, is_short=asked.short)))


async def _run_all(runs: Iterable[Run], *, writes: bool, is_short: bool) -> int:
    done, failed = list[Run](), False
    for small_disk_of, of_one_disk in groupby(runs, lambda run: run.faults[0].small_disk_of):
        with small_disk() if small_disk_of else nullcontext() as disk:
            if small_disk_of and disk is None:
                print("— left out: a disk of its own cannot be mounted here, so none is filled")
                continue
            async with _running(TimescaleCluster(disk if small_disk_of == "database" else None)) as cluster:
                database = await _versions(cluster)
                for run in of_one_disk:
                    done.append(run)
                    spool_disk = disk if small_disk_of == "spool" else None
                    is_well = await _run(cluster, run, spool_disk=spool_disk, is_short=is_short)
                    failed |= not is_well
                    if writes and run.recoveries:
                        results.add(results.Result.of(run, database))
                        report.PAGE.write_text(report.renewed(report.PAGE.read_text(), results.read()))
    sums = {what: sum(getattr(run.verdict, what) for run in done) for what in ("lost", "doubled", "altered")}
    print(f"cycles={sum(run.cycles for run in done)}", *(f"{what}={count}" for what, count in sums.items()))
    return int(failed)


@asynccontextmanager
async def _running(cluster: TimescaleCluster) -> AsyncIterator[TimescaleCluster]:
    await cluster.start()
    try:
        yield cluster
    finally:
        await cluster.stop()


async def _run(cluster: TimescaleCluster, run: Run, *, spool_disk: Path | None, is_short: bool) -> bool:
    """Run one and say how it went, and how to see it again; returns whether it went well."""
    name = "short" if is_short else run.faults[0].name
    folder = Path(tempfile.mkdtemp(prefix="headrace-chaos-"))
    print(f"— {name}, seed {run.seed}, {len(run.faults)} cycles", flush=True)
    try:
        await run.on(cluster, folder, lambda text: print(f"  {text}", flush=True), spool_disk=spool_disk)
    except TimeoutError:
        run.verdict.complaints += 1
        run.verdict.findings.append(f"cycle {run.cycles + 1}: rows do not flow again")
    verdict = run.verdict
    print(
        f"  {verdict.rows} rows: lost={verdict.lost} doubled={verdict.doubled} altered={verdict.altered} "
        f"gaps={verdict.gaps} complaints={verdict.complaints}, {run.took_s:.0f} s",
        flush=True,
    )
    if verdict.is_clean:
        shutil.rmtree(folder)
        return True
    print(*(f"  {finding}" for finding in verdict.findings), sep="\n")
    options = "SHORT=1" if is_short else f"FAULTS={name} CYCLES={len(run.faults)}"
    print(f"  oracles and logs: {folder}\n  again: make chaos SEED={run.seed} {options}", flush=True)
    return False


async def _versions(cluster: TimescaleCluster) -> dict[str, str]:
    connection = await asyncpg.connect(cluster.url_of("headrace"))
    try:
        return {
            "postgresql": (await connection.fetchval("SHOW server_version")).split()[0],
            "timescaledb": await connection.fetchval("SELECT extversion FROM pg_extension WHERE extname='timescaledb'"),
        }
    finally:
        await connection.close()


if __name__ == "__main__":
    main()
