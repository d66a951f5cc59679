"""Reads a service's metrics, as Prometheus would."""

from __future__ import annotations

import asyncio
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from support.service import ServiceProcess


async def scraped(service: ServiceProcess) -> dict[str, float]:
    """Every sample without labels, by name."""
    text = await asyncio.to_thread(_get, f"http://{service.http}/metrics")
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.labels
    }


async def until_metric(service: ServiceProcess, name: str, value: float, within_s: float = 20.0) -> None:
    """Wait until a metric has a value."""
    async with asyncio.timeout(within_s):
        while (await scraped(service))[name] != value:
            await asyncio.sleep(0.05)


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()
