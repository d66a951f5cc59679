"""Volume and profiles by hour and day are what pandas counts on the same rows."""

from __future__ import annotations

from itertools import product

import asyncpg
import numpy as np
import pandas as pd
import pytest

from headrace_server.models.column_types import ValueType
from headrace_server.models.registry import Registry
from headrace_server.rollups.refresh import Refresh
from support.model_definitions import feature, flights, label
from support.sampled_flights import flights as sampled
from support.sampled_flights import rows, shown
from support.write_path import EVENTS, WritePath

KEYS = ["bucket", "model_version", "variant"]


@pytest.fixture
async def frame(
    service: WritePath, registry: Registry, refresh: Refresh, connection: asyncpg.Connection
) -> pd.DataFrame:
    """Flights that were sent in two batches and rolled up."""
    await registry.register("main", flights(feature("carrier", ValueType.CATEGORY), label("late")))
    frame = sampled(1_500, hours=40)
    for part in (frame[:1_000], frame[1_000:]):
        result = await service.send(EVENTS, rows(part))
        assert result.stored == len(part), result
        await refresh.turn(connection)
    return frame.assign(
        hour=frame.event_time.dt.floor("h"), day=frame.event_time.dt.floor("D"), dep_delay=frame.dep_delay.astype(float)
    )


GRAINS = (("HOUR", "hour"), ("DAY", "day"))


async def test_volume_and_latency(frame: pd.DataFrame, connection: asyncpg.Connection) -> None:
    for grain, column in GRAINS:
        check_volume(frame, await shown(connection, "main.flight_delay_volume", f"grain = '{grain}'"), column)


def check_volume(frame: pd.DataFrame, volume: pd.DataFrame, column: str) -> None:
    volume = volume.set_index(KEYS).sort_index()
    groups = frame.groupby([column, "model_version", "variant"])
    assert volume.events.sum() == 1_500
    assert volume.events.tolist() == groups.size().tolist()
    assert volume.estimated_events.tolist() == groups.size().tolist()
    np.testing.assert_allclose(volume.latency_ms_mean, groups.latency_ms.mean(), rtol=1e-9)
    np.testing.assert_allclose(volume.latency_ms_max, groups.latency_ms.max())
    for share in (50, 95, 99):
        exact = groups.latency_ms.quantile(share / 100, interpolation="higher")
        lower = groups.latency_ms.quantile(share / 100, interpolation="lower")
        stated = volume[f"latency_ms_p{share}"].to_numpy()
        assert (stated <= exact.to_numpy() * 1.022).all()
        assert (stated >= lower.to_numpy() / 1.022).all()


async def test_profiles_of_numbers(frame: pd.DataFrame, connection: asyncpg.Connection) -> None:
    for (grain, column), name in product(GRAINS, ("dep_delay", "score")):
        groups = frame.groupby([column, "model_version", "variant"])
        where = f"grain = '{grain}' AND column_name = '{name}'"
        profiles = (await shown(connection, "main.flight_delay_profiles", where)).set_index(KEYS).sort_index()
        values = groups[name]
        assert profiles["rows"].tolist() == groups.size().tolist()
        assert profiles.nulls.tolist() == (groups.size() - values.count()).tolist()
        assert (profiles.nans == 0).all()
        for statistic, ours in (("mean", "mean"), ("std", "stddev"), ("min", "minimum"), ("max", "maximum")):
            np.testing.assert_allclose(
                profiles[ours].astype(float), values.agg(statistic), rtol=1e-9, atol=1e-9, err_msg=statistic
            )


async def test_histograms_and_categories(frame: pd.DataFrame, connection: asyncpg.Connection) -> None:
    bins = await shown(connection, "main.flight_delay_histograms", "grain = 'DAY' AND column_name = 'dep_delay'")
    values = frame.dep_delay.dropna()
    assert bins.number.sum() == len(values)
    counted = bins.groupby(["lower", "upper"]).number.sum()
    for (lower, upper), number in counted.items():
        # Minutes are whole and most edges are not; where one is a power of two it belongs to the bin further from zero.
        sizes, nearer, further = values.abs(), min(abs(lower), abs(upper)), max(abs(lower), abs(upper))
        inside = (sizes >= nearer - 1e-9) & (sizes < further - 1e-9) & (np.sign(values) == np.sign(lower + upper))
        assert number == (values == 0).sum() if lower < 0 < upper else inside.sum(), (lower, upper)

    categories = await shown(connection, "main.flight_delay_categories", "grain = 'DAY' AND column_name = 'carrier'")
    ours = categories.groupby(["bucket", "category"]).number.sum()
    assert ours.to_dict() == frame.groupby(["day", "carrier"]).size().to_dict()


async def test_only_what_was_touched_is_counted_again(
    frame: pd.DataFrame, service: WritePath, refresh: Refresh, connection: asyncpg.Connection
) -> None:
    before = await shown(connection, "main.flight_delay_volume")
    assert await refresh.turn(connection) == 0
    more = sampled(10, hours=1.0, seed=8)
    await service.send(EVENTS, rows(more))
    assert await refresh.turn(connection) == 1
    after = await shown(connection, "main.flight_delay_volume")
    assert after.events.sum() == before.events.sum() + 2 * 10
    counted_again = after[~after.refreshed_at.isin(before.refreshed_at)]
    assert set(counted_again.bucket) == {more.event_time.min().floor("h")}
    assert await connection.fetchval("SELECT count(*) FROM headrace.touched_hours") == 0
