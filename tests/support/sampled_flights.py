"""Made-up flights for tests of roll-ups: rows for the service, and the same rows for pandas to compute with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import numpy as np
import pandas as pd

START = datetime(2013, 1, 1, tzinfo=UTC)
CARRIERS = ("AA", "B6", "DL", "EV", "UA")


def flights(count: int, *, hours: float = 60, seed: int = 7) -> pd.DataFrame:
    """Flights over some hours: numbers with nulls and a NaN-free tail, categories, versions, variants and latencies."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "event_id": [f"e{seed}-{number}" for number in range(count)],
            "event_time": [START + timedelta(hours=float(at)) for at in np.sort(random.uniform(0, hours, count))],
            "model_version": random.choice(["v1", "v2"], count),
            "variant": random.choice(["", "canary"], count, p=[0.8, 0.2]),
            "latency_ms": random.gamma(2.0, 3.0, count),
            "dep_delay": np.round(random.normal(5, 40, count)),
            "carrier": random.choice(CARRIERS, count, p=[0.4, 0.3, 0.15, 0.1, 0.05]),
            "score": random.beta(2, 5, count),
        }
    )
    frame.loc[random.uniform(size=count) < 0.1, "dep_delay"] = None
    frame.loc[random.uniform(size=count) < 0.05, "carrier"] = None
    return frame


def rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as the service takes them: no column where there is no value."""
    return [
        {name: value for name, value in row.items() if not pd.isna(value) and value != ""}
        for row in frame.to_dict("records")
    ]


async def shown(connection: asyncpg.Connection, view: str, where: str = "true") -> pd.DataFrame:
    """What a view shows."""
    records = await connection.fetch(f"SELECT * FROM {view} WHERE {where}")
    return pd.DataFrame([dict(record) for record in records])
