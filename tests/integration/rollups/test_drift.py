"""PSI and Jensen-Shannon distance are what numpy and scipy compute of the same cells of the same rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import asyncpg
import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon

from headrace_server.models.column_types import ValueType
from headrace_server.models.registry import Registry
from headrace_server.models.schema import ModelSchema
from headrace_server.rollups import drift, profiles, volume
from headrace_server.rollups.refresh import Refresh
from headrace_server.rollups.span import Span
from support.label_rows import START
from support.model_definitions import feature, flights
from support.sampled_flights import flights as sampled
from support.sampled_flights import shown

LEAST = 0.0001
COLUMNS = ["event_id", "event_time", "dep_delay", "score", "carrier"]


async def stored(connection: asyncpg.Connection, table: str, frame: pd.DataFrame) -> None:
    plain = frame[COLUMNS].astype(object).where(frame[COLUMNS].notna(), None)
    records = [tuple(row) for row in plain.itertuples(index=False)]
    await connection.copy_records_to_table(table, schema_name="main", columns=COLUMNS, records=records)


async def compared(connection: asyncpg.Connection, model: ModelSchema, day: Span) -> dict[str, asyncpg.Record]:
    """The day's drift, by column."""
    statements = [
        *profiles.baseline(model, "main.baseline_rows"),
        *profiles.hours(model, day),
        *profiles.day(model, day),
        *drift.day(model, day),
    ]
    for statement in statements:
        await connection.execute(statement)
    return {row["column_name"]: row for row in await connection.fetch("SELECT * FROM headrace.drift")}


def bin_of(values: pd.Series) -> pd.Series:
    """The histogram's bins, as docs/monitoring.md has them: sixteen an octave."""
    sizes = values.abs().clip(lower=2.0**-31)
    outer = np.sign(values) * (481 + np.floor(np.log2(sizes) * 16 + 1e-9))
    return pd.Series(np.where(sizes < 2.0**-30, 0, outer), values.index)


def cells_of_numbers(baseline: pd.Series, day: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Counts in tenths of the baseline, whose bounds are bins; and last what is missing."""
    own, others = bin_of(baseline.dropna().astype(float)), bin_of(day.dropna().astype(float))
    counts = own.value_counts().sort_index()
    tenth = np.floor(10 * (counts.cumsum() - counts) / len(own))
    starts = counts.index.to_series().groupby(tenth.to_numpy()).min().to_numpy()
    edges = np.concatenate(([-np.inf], starts[1:], [np.inf]))
    return tuple(
        np.append(np.histogram(bins, edges)[0], values.isna().sum())
        for bins, values in ((own, baseline), (others, day))
    )  # type: ignore[return-value]


def cells_of_categories(baseline: pd.Series, day: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Counts of the baseline's categories, of others, and of what is missing."""
    known = baseline.dropna().unique()
    return tuple(
        np.array(
            [
                *((values == name).sum() for name in known),
                (values.notna() & ~values.isin(known)).sum(),
                values.isna().sum(),
            ]
        )
        for values in (baseline, day)
    )  # type: ignore[return-value]


async def named(connection: asyncpg.Connection, registry: Registry, dataset: str | None) -> None:
    """Name the model's baseline, as SetBaseline does."""
    await connection.execute("UPDATE headrace.models SET baseline_dataset = $1, revision = revision + 1", dataset)
    await registry.refresh([("main", "flight_delay")])


@pytest.fixture
async def model(registry: Registry, connection: asyncpg.Connection) -> ModelSchema:
    """A model with a dataset, which is not its baseline yet."""
    model, _ = await registry.register("main", flights(feature("carrier", ValueType.CATEGORY)))
    await connection.execute("CREATE TABLE main.baseline_rows (LIKE main.flight_delay)")
    await connection.execute(
        "INSERT INTO headrace.datasets (id, project, model, name, table_name, rows)"
        " VALUES (gen_random_uuid(), 'main', 'flight_delay', 'first-half', 'baseline_rows', 0)"
    )
    return replace(model, baseline_dataset="first-half")


@pytest.mark.parametrize("shift", [0.0, 1.0])
async def test_drift_of_numbers_and_categories(
    model: ModelSchema, connection: asyncpg.Connection, shift: float
) -> None:
    baseline, day = sampled(4_000, seed=1), sampled(800, hours=24, seed=2)
    if shift:
        day["dep_delay"] = day.dep_delay * 2 + 40
        day.loc[day.carrier == "AA", "carrier"] = "a new one"
    await stored(connection, "baseline_rows", baseline)
    await stored(connection, "flight_delay", day)
    found = await compared(connection, model, Span(START, START + timedelta(days=1)))
    assert set(found) == {"dep_delay", "score", "carrier"}  # and not latency_ms, which the baseline does not have
    for name, row in found.items():
        cells = cells_of_categories if name == "carrier" else cells_of_numbers
        p, q = (counts / counts.sum() for counts in cells(baseline[name], day[name]))
        assert (row["rows"], row["baseline_rows"], row["dataset"]) == (800, 4_000, "first-half")
        assert row["js_distance"] == pytest.approx(jensenshannon(p, q, base=2), abs=1e-9)
        p, q = p.clip(LEAST), q.clip(LEAST)
        assert row["psi"] == pytest.approx(((q - p) * np.log(q / p)).sum(), abs=1e-9)
    shifted = {"dep_delay", "carrier"} if shift else set()
    assert {name for name, row in found.items() if row["psi"] > 0.25} == shifted


async def test_once_a_baseline_is_named_every_day_is_compared_and_none_when_it_is_not_any_more(
    model: ModelSchema, registry: Registry, refresh: Refresh, connection: asyncpg.Connection
) -> None:
    await stored(connection, "baseline_rows", sampled(500, seed=1))
    await stored(connection, "flight_delay", sampled(300, hours=72, seed=2))
    await connection.execute(
        "INSERT INTO headrace.touched_hours SELECT DISTINCT 'main', 'flight_delay', 'EVENTS', event_time::date,"
        " (1 << 24) - 1 FROM main.flight_delay"
    )
    await refresh.turn(connection)
    counted = "SELECT count(*) FROM main.flight_delay_drift WHERE dataset = 'first-half'"
    assert await connection.fetchval(counted) == 0
    await named(connection, registry, "first-half")
    await refresh.turn(connection)
    assert await connection.fetchval(counted) == 3 * 3  # days and columns
    await connection.execute("CREATE TABLE main.completed_rows AS SELECT * FROM main.baseline_rows")
    await connection.execute("UPDATE main.completed_rows SET latency_ms = 5")
    await connection.execute("UPDATE headrace.datasets SET table_name = 'completed_rows'")
    await refresh.turn(connection)
    assert await connection.fetchval(counted) == 3 * 4
    await named(connection, registry, None)
    await refresh.turn(connection)
    assert await connection.fetchval(counted) == 0


async def test_without_a_baseline_there_is_no_drift(model: ModelSchema, connection: asyncpg.Connection) -> None:
    frame = sampled(50, hours=1, seed=1)
    await stored(connection, "baseline_rows", frame)
    await stored(connection, "flight_delay", frame)
    day = Span(START, START + timedelta(days=1))
    assert len(await compared(connection, model, day)) == 3
    assert await compared(connection, replace(model, baseline_dataset=""), day) == {}


async def test_a_histogram_of_one_value_is_one_cell(model: ModelSchema, connection: asyncpg.Connection) -> None:
    frame = sampled(50, hours=1, seed=1).assign(dep_delay=3.0)
    await stored(connection, "baseline_rows", frame)
    await stored(connection, "flight_delay", frame.assign(dep_delay=[1.0] * 25 + [3.0] * 25))
    found = await compared(connection, model, Span(START, START + timedelta(days=1)))
    assert found["dep_delay"]["psi"] == 0  # a tenth cannot be told apart where all values are one


async def test_nothing_is_left_of_a_day_that_has_no_events_any_more(
    model: ModelSchema, connection: asyncpg.Connection
) -> None:
    frame = sampled(50, hours=1, seed=1)
    await stored(connection, "baseline_rows", frame)
    await stored(connection, "flight_delay", frame)
    day = Span(START, START + timedelta(days=1))
    assert len(await compared(connection, model, day)) == 3
    await connection.execute("DELETE FROM main.flight_delay")
    assert await compared(connection, model, day) == {}
    for statement in (*volume.hours(model, day), *volume.day(model, day)):
        await connection.execute(statement)
    assert len(await shown(connection, "headrace.volumes")) == 0
