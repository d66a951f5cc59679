"""The numbers of all workers of a service, from whichever of them is asked.

A scraper reaches one worker, the kernel decides which. So each answers the others at a unix socket of its own, in a
folder that only they may enter: whoever connects is sent its metrics as JSON, and the connection ends. Who is asked
for /metrics asks all others, and shows every sample with the label `worker`. A worker that does not answer in time (it
is being started again) is missing for once, and shown as down.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from headrace_server.ops.metrics import Metrics

ANSWER_S = 2.0
UP = "headrace_worker_up"

# Name, what it is, type, and its samples: name, labels, value.
Family: TypeAlias = "tuple[str, str, str, list[tuple[str, dict[str, str], float]]]"


@dataclass(frozen=True)
class Seat:
    """A worker's place among the others.

    Attributes:
        number: Which it is, from 0.
        workers: How many there are.
        folder: Where each has its socket.
    """

    number: int
    workers: int
    folder: Path

    def socket(self, number: int) -> Path:
        """Return the socket of one of them."""
        return self.folder / f"{number}.sock"


class Neighbours:
    """All workers, this one among them.

    Args:
        seat: Which this one is.
        metrics: Its own.
    """

    def __init__(self, seat: Seat, metrics: Metrics) -> None:
        self._seat = seat
        self._metrics = metrics

    @asynccontextmanager
    async def answered(self) -> AsyncIterator[None]:
        """Answer the others during the block."""
        path = self._seat.socket(self._seat.number)
        path.unlink(missing_ok=True)  # of the worker that was here before
        async with await asyncio.start_unix_server(self._answer, path):
            yield

    async def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the metrics of all and their content type, in the best format that `accept` admits."""
        seat = self._seat
        told = await asyncio.gather(*(self._ask(number) for number in range(seat.workers)))
        registry = CollectorRegistry()
        registry.register(_Gathered(told))
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type

    async def _answer(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(json.dumps(list(_families(self._metrics.registry))).encode())
            async with asyncio.timeout(ANSWER_S):
                await writer.drain()
        except (OSError, TimeoutError):
            writer.transport.abort()
        finally:
            writer.close()

    async def _ask(self, number: int) -> list[Family] | None:
        """Return what one of them shows; None when it does not answer."""
        if number == self._seat.number:
            return list(_families(self._metrics.registry))
        try:
            async with asyncio.timeout(ANSWER_S):
                reader, writer = await asyncio.open_unix_connection(self._seat.socket(number))
                try:
                    told: list[Family] = json.loads(await reader.read())
                finally:
                    writer.close()
        except (OSError, ValueError, TimeoutError):
            return None
        return told


class _Gathered(Collector):
    """Families of several workers as one registry shows them: each family once, its samples told apart."""

    def __init__(self, told: list[list[Family] | None]) -> None:
        self._told = told

    def collect(self) -> Iterator[Metric]:
        """Give all families."""
        up = Metric(UP, "Whether the worker answers", "gauge")
        families: dict[str, Metric] = {up.name: up}
        for number, told in enumerate(self._told):
            worker = {"worker": str(number)}
            up.add_sample(up.name, worker, float(told is not None))
            for name, text, kind, samples in told or ():
                family = families.setdefault(name, Metric(name, text, kind))
                for sample, labels, value in samples:
                    family.add_sample(sample, labels | worker, value)
        yield from families.values()


def _families(registry: CollectorRegistry) -> Iterator[Any]:
    for family in registry.collect():
        samples = [(sample.name, sample.labels, sample.value) for sample in family.samples]
        yield family.name, family.documentation, family.type, samples
