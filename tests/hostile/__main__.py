"""`make hostile`: attacks a real service beside a good client, and says what each cost the service and the client.

A line an attack: blows dealt, growth of the service's resident memory, and the good client's p99 from batch to ack
during it. Afterwards streams are opened and cancelled, and the growth of memory a stream is told. It ends with 1 where
the service did not stay up, or grew by more than 64 MiB.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from uuid import uuid4

import psutil

from hostile.attacks import ATTACKS
from support.service import ServiceProcess, running_service
from support.timescale import TimescaleCluster
from support.wire_client import WireClient, events, json_batch, wire_client

MIB = 1 << 20
MOST_GROWTH = 64 * MIB
QUIET_S = 5.0
CANCELLED_WARM_UP = 1_000
CANCELLED_AT_ONCE = 20


class GoodClient:
    """Sends ten rows, waits for the ack, and again."""

    def __init__(self, client: WireClient) -> None:
        self._stream = client.stream(timeout_s=3_600)
        self._times: list[float] = []

    async def run(self) -> None:
        """Send until cancelled."""
        await self._stream.open()
        seq = 0
        while True:
            seq += 1
            batch = json_batch(events(10, first=10 * seq), seq=seq)
            begun = perf_counter()
            assert await self._stream.settle(batch) is None
            self._times.append(perf_counter() - begun)

    def p99_ms(self) -> float:
        """Of the time since it was last asked."""
        times, self._times = sorted(self._times), []
        return 1_000 * times[int(len(times) * 0.99)] if times else float("inf")


def rss(service: ServiceProcess) -> int:
    """Resident memory of the service, in bytes."""
    return int(psutil.Process(service.process.pid).memory_info().rss)


async def dealt(name: str, address: str, connections: int) -> int:
    """Deal an attack from a process of its own, so that only the service's slowness is measured; returns the blows."""
    host, _, port = address.rpartition(":")
    command = (sys.executable, "-m", "hostile.attacks", name, host, port, str(connections))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    return int(await process.stdout.read())


async def cancelled(client: WireClient, streams: int) -> None:
    """Open sessions and cancel them."""

    async def some(count: int) -> None:
        for _ in range(count):
            stream = client.stream()
            await stream.open(str(uuid4()))
            stream.call.cancel()

    await asyncio.gather(*(some(streams // CANCELLED_AT_ONCE) for _ in range(CANCELLED_AT_ONCE)))


async def run(share: float, streams: int) -> bool:
    """Attack; returns whether the service bore it."""
    cluster = TimescaleCluster()
    await cluster.start()
    try:
        async with (
            cluster.fresh_database() as url,
            running_service(url, tell=_keep_logs) as service,
            wire_client(service.grpc) as client,
        ):
            await client.register()
            good = GoodClient(client)
            sending = asyncio.create_task(good.run())
            await asyncio.sleep(QUIET_S)  # what comes to life with the first load
            good.p99_ms()
            await asyncio.sleep(QUIET_S)
            before = rss(service)
            print(f"{'alone':16} {0:7} blows  rss {before / MIB:6.1f} MiB  p99 {good.p99_ms():6.1f} ms", flush=True)
            for name, (_, connections, _) in ATTACKS.items():
                blows = await dealt(name, service.grpc, max(1, int(connections * share)))
                growth = (rss(service) - before) / MIB
                print(f"{name:16} {blows:7} blows  rss {growth:+6.1f} MiB  p99 {good.p99_ms():6.1f} ms", flush=True)
            growth = rss(service) - before
            await cancelled(client, CANCELLED_WARM_UP)
            begun = rss(service)
            await cancelled(client, streams)
            leak = (rss(service) - begun) / max(1, streams)
            print(
                f"{'cancelled':16} {streams:7} blows  {leak:+.0f} bytes a stream  p99 {good.p99_ms():.1f} ms",
                flush=True,
            )
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            defects = [line for line in service.logs if line.get("event") == "defect"]
            stays = service.process.returncode is None and not defects
            print(f"up={stays} growth_mib={growth / MIB:.1f} defects={len(defects)}")
            return stays and growth <= MOST_GROWTH
    finally:
        await cluster.stop()


def _keep_logs(logs: str) -> None:
    """gRPC has a line for each stranger: too many to be printed after the figures."""
    folder = Path(tempfile.mkdtemp(prefix="headrace-hostile-"))
    (folder / "service.log").write_text(logs)
    print(f"what the service has logged: {folder / 'service.log'}")


def main() -> None:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m hostile", description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of each attack's connections")
    parser.add_argument("--streams", type=int, default=100_000, help="sessions that are opened and cancelled")
    asked = parser.parse_args()
    sys.exit(0 if asyncio.run(run(asked.share, asked.streams)) else 1)


if __name__ == "__main__":
    main()
