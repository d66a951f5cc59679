"""One run: a system on a new database, faults one after the other while rows flow, then the verdict."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import asyncpg

from chaos.faults import Fault
from chaos.system import System, running_system
from chaos.verdict import Verdict, compare
from support.timescale import TimescaleCluster

PRODUCERS = 3
LONGEST_CALM_S = 0.3  # between two faults, beside the time that it takes until all rows flow again


@dataclass
class Recoveries:
    """How long it took, in seconds, cycle by cycle.

    Attributes:
        first: Until the first ack of a row that was logged after the fault.
        all: Until every producer has had one.
    """

    first: list[float] = field(default_factory=list)
    all: list[float] = field(default_factory=list)


@dataclass
class Run:
    """A run and how it ended.

    Attributes:
        faults: What is dealt, in this order.
        seed: Of every choice in it.
        producers: How many log.
        verdict: Once it has ended.
        recoveries: By name of the fault.
    """

    faults: Sequence[Fault]
    seed: int
    producers: int = PRODUCERS
    verdict: Verdict = field(default_factory=Verdict)
    recoveries: dict[str, Recoveries] = field(default_factory=dict)
    took_s: float = 0.0

    @property
    def cycles(self) -> int:
        """Faults that were dealt and recovered from."""
        return sum(len(each.first) for each in self.recoveries.values())

    async def on(
        self,
        cluster: TimescaleCluster,
        folder: Path,
        tell: Callable[[str], object] = print,
        *,
        spool_disk: Path | None = None,
    ) -> None:
        """Do it.

        Args:
            cluster: The database's.
            folder: Where oracles and logs go.
            tell: Told of each cycle.
            spool_disk: Where spools lie, if producers have any. Default: beside the oracles.

        Raises:
            TimeoutError: The system did not recover.
        """
        began = time.monotonic()
        random = Random(f"{self.seed} {self.faults[0].name}")
        replicas = max(fault.replicas for fault in self.faults)
        async with running_system(
            cluster,
            folder,
            seed=str(self.seed),
            replicas=replicas,
            workers=max(fault.workers for fault in self.faults),
            producers=self.producers,
            spool=(spool_disk or folder) / "spool" if self.faults[0].spools else None,
        ) as system:
            for cycle, fault in enumerate(self.faults, 1):
                await asyncio.sleep(random.uniform(0.0, LONGEST_CALM_S))
                first_s, all_s = await self._deal(fault, system, random)
                tell(f"{cycle}/{len(self.faults)} {fault.name}: first ack {first_s:.2f} s, all {all_s:.2f} s")
            oracles = await system.finish()
            if spool_disk is None:
                system.complaints += [why for oracle in oracles for why in oracle.not_kept]
            connection = await asyncpg.connect(system.url)
            try:
                self.verdict = await compare(connection, oracles)
            finally:
                await connection.close()
            self.verdict.complaints += len(system.complaints)
            self.verdict.findings += system.complaints
        self.took_s = time.monotonic() - began

    async def _deal(self, fault: Fault, system: System, random: Random) -> tuple[float, float]:
        async with fault.deal(system, random) as moment:
            first_s, all_s = await system.recovers(moment, every_lane=fault.every_lane)
        recoveries = self.recoveries.setdefault(fault.name, Recoveries())
        recoveries.first.append(first_s)
        recoveries.all.append(all_s)
        return first_s, all_s
