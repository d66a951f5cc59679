"""Measures by task, hour and day are what scikit-learn and pandas compute of the same rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import asyncpg
import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from headrace.schemas.tasks import TaskType
from headrace_server.models.column_types import ValueType
from headrace_server.models.definition import ModelDefinition, TaskDefinition
from headrace_server.models.registry import Registry
from headrace_server.rollups.refresh import Refresh
from support.label_rows import START
from support.model_definitions import feature, label, prediction
from support.sampled_flights import shown

KEYS = ["model_version", "variant"]
CLASSES = ("early", "on time", "late")


def made_up(count: int = 500, seed: int = 3) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "event_id": [f"e{number}" for number in range(count)],
            "event_time": [START + timedelta(hours=float(at)) for at in np.sort(random.uniform(18, 30, count))],
            "model_version": random.choice(["v1", "v2"], count),
            "variant": random.choice(["", "canary"], count, p=[0.7, 0.3]),
        }
    )


async def stored(connection: asyncpg.Connection, frame: pd.DataFrame, events: list[str], labels: list[str]) -> None:
    """Put events and labels into their tables, and note them; the way there is others' tests' matter."""

    def records(columns: list[str]) -> list[tuple[Any, ...]]:
        plain = frame[columns].astype(object).where(frame[columns].notna(), None)
        return [tuple(row) for row in plain.itertuples(index=False)]

    system = ["event_id", "event_time"]
    for table, columns in (("model", [*system, *KEYS, *events]), ("model_labels", [*system, "recorded_time", *labels])):
        # Not by COPY of records: jsonb wants text there.
        names, marks = ", ".join(columns), ", ".join(f"${at + 1}" for at in range(len(columns)))
        await connection.executemany(f"INSERT INTO main.{table} ({names}) VALUES ({marks})", records(columns))
    await connection.execute(
        "INSERT INTO headrace.touched_hours"
        " SELECT DISTINCT 'main', 'model', 'LABELS', (event_time AT TIME ZONE 'UTC')::date, 0 FROM main.model"
    )


async def by_bucket(connection: asyncpg.Connection, frame: pd.DataFrame) -> list[tuple[pd.Series, pd.DataFrame]]:
    """Each row of the performance view with the rows that it is about."""
    view = await shown(connection, "main.model_performance", "NOT is_shadow AND among = ''")
    pairs = []
    for grain, frequency in (("HOUR", "h"), ("DAY", "D")):
        groups = frame.groupby([frame.event_time.dt.floor(frequency), *KEYS])
        found = view[view.grain == grain].set_index(["bucket", *KEYS])
        assert set(found.index) == set(groups.groups)
        pairs += [(found.loc[key], group) for key, group in groups]
    return pairs


@pytest.mark.parametrize("decided", [False, True])
async def test_binary_classification(
    registry: Registry, refresh: Refresh, connection: asyncpg.Connection, decided: bool
) -> None:
    own = [prediction("score"), *([prediction("said", ValueType.BOOL)] if decided else []), label("late")]
    definition = ModelDefinition(
        "model", (feature("x"), *own), task=TaskDefinition(TaskType.BINARY_CLASSIFICATION, threshold=0.4)
    )
    await registry.register("main", definition)
    frame = made_up()
    random = np.random.default_rng(4)
    frame = frame.assign(score=random.beta(2, 3, len(frame)), recorded_time=frame.event_time)
    frame["late"] = random.uniform(size=len(frame)) < frame.score
    frame["said"] = frame.score > random.uniform(0.3, 0.6, len(frame)) if decided else frame.score >= 0.4
    await stored(connection, frame, ["score", *(["said"] if decided else [])], ["late"])
    await refresh.turn(connection)
    for ours, rows in await by_bucket(connection, frame):
        truth, score, said = rows.late.astype(bool), rows.score, rows.said.astype(bool)
        assert ours.labelled == len(rows)
        assert ours.accuracy == pytest.approx(metrics.accuracy_score(truth, said))
        assert ours.log_loss == pytest.approx(metrics.log_loss(truth, score, labels=[False, True]))
        assert ours.brier == pytest.approx(((score - truth) ** 2).mean())
        confusion = metrics.confusion_matrix(truth, said, labels=[False, True]).ravel().tolist()
        assert confusion == [ours.true_negatives, ours.false_positives, ours.false_negatives, ours.true_positives]
        if truth.any() or said.any():
            precision, recall, f1, _ = metrics.precision_recall_fscore_support(
                truth, said, average="binary", zero_division=0
            )
            assert (ours.precision, ours.recall, ours.f1) == pytest.approx((precision, recall, f1))
        if truth.nunique() == 2:
            assert abs(ours.auc - metrics.roc_auc_score(truth, score)) <= ours.auc_error + 1e-12
            assert ours.auc_error < 0.01 or ours.grain == "HOUR"
        else:
            assert pd.isna(ours.auc)


@pytest.mark.parametrize("chosen", [False, True])
async def test_several_classes(
    registry: Registry, refresh: Refresh, connection: asyncpg.Connection, chosen: bool
) -> None:
    own = [prediction("p", ValueType.JSON), label("truth", ValueType.STRING)]
    if chosen:
        own.append(prediction("said", ValueType.CATEGORY))
    definition = ModelDefinition(
        "model", (feature("x"), *own), task=TaskDefinition(TaskType.MULTICLASS_CLASSIFICATION, CLASSES)
    )
    await registry.register("main", definition)
    frame = made_up(400)
    random = np.random.default_rng(5)
    likely = random.dirichlet([2, 3, 1], len(frame))
    frame["p"] = [
        "{" + ", ".join(f'"{name}": {value!r}' for name, value in zip(CLASSES, row, strict=True)) + "}"
        for row in likely.tolist()
    ]
    frame["truth"] = [random.choice(CLASSES, p=row) for row in likely]
    frame["said"] = random.choice(CLASSES, len(frame)) if chosen else [CLASSES[at] for at in likely.argmax(axis=1)]
    frame["recorded_time"] = frame.event_time
    await stored(connection, frame, ["p", *(["said"] if chosen else [])], ["truth"])
    await refresh.turn(connection)
    place = {name: at for at, name in enumerate(CLASSES)}
    for ours, rows in await by_bucket(connection, frame):
        probabilities = likely[rows.index]
        assert ours.accuracy == pytest.approx((rows.truth == rows.said).mean())
        of_truth = probabilities[np.arange(len(rows)), rows.truth.map(place)]
        assert ours.log_loss == pytest.approx(-np.log(of_truth).mean())
        seen = sorted(set(rows.truth) | set(rows.said))
        precision, recall, f1, _ = metrics.precision_recall_fscore_support(
            rows.truth, rows.said, labels=seen, average="macro", zero_division=0
        )
        assert (ours.precision, ours.recall, ours.f1) == pytest.approx((precision, recall, f1))
        areas = [
            metrics.roc_auc_score(rows.truth == name, probabilities[:, at])
            for name, at in place.items()
            if (rows.truth == name).nunique() == 2
        ]
        if areas:
            assert abs(ours.auc - np.mean(areas)) <= ours.auc_error + 1e-12


async def test_regression(registry: Registry, refresh: Refresh, connection: asyncpg.Connection) -> None:
    own = (feature("x"), prediction("minutes"), label("truth", ValueType.INT64))
    await registry.register("main", ModelDefinition("model", own, task=TaskDefinition(TaskType.REGRESSION)))
    frame = made_up()
    random = np.random.default_rng(6)
    frame["truth"] = random.integers(-20, 200, len(frame))
    frame["minutes"] = frame.truth + random.normal(2, 15, len(frame))
    frame["recorded_time"] = frame.event_time
    await stored(connection, frame, ["minutes"], ["truth"])
    await refresh.turn(connection)
    for ours, rows in await by_bucket(connection, frame):
        error = rows.minutes - rows.truth
        expected = (error.abs().mean(), np.sqrt((error**2).mean()), error.mean())
        assert (ours.mae, ours.rmse, ours.bias) == pytest.approx(expected)
        if len(rows) > 1 and rows.truth.nunique() > 1:
            assert ours.r2 == pytest.approx(metrics.r2_score(rows.truth, rows.minutes))


async def test_the_latest_label_counts_and_events_without_one_do_not(
    registry: Registry, refresh: Refresh, connection: asyncpg.Connection
) -> None:
    own = (feature("x"), prediction("score"), label("late"))
    await registry.register("main", ModelDefinition("model", own, task=TaskDefinition(TaskType.BINARY_CLASSIFICATION)))
    frame = made_up(40).assign(score=0.9, late=True, variant="", model_version="v1")
    frame["event_time"] = START
    frame["recorded_time"] = START
    await stored(connection, frame, ["score"], ["late"])
    await connection.execute("DELETE FROM main.model_labels WHERE event_id IN ('e0', 'e1')")
    await connection.execute(
        "INSERT INTO main.model_labels (event_id, event_time, recorded_time, late)"
        " SELECT event_id, event_time, recorded_time + interval '1 day', false FROM main.model_labels"
        " WHERE event_id IN ('e2', 'e3', 'e4')"
    )
    await refresh.turn(connection)
    row = (await shown(connection, "main.model_performance", "grain = 'DAY'")).iloc[0]
    assert (row.labelled, row.true_positives, row.false_positives) == (38, 35, 3)


async def test_a_model_without_a_task_is_not_measured(
    registry: Registry, refresh: Refresh, connection: asyncpg.Connection
) -> None:
    await registry.register("main", ModelDefinition("model", (prediction("score"), label("late"))))
    frame = made_up(10).assign(score=0.9, late=True)
    frame["recorded_time"] = START
    await stored(connection, frame, ["score"], ["late"])
    await refresh.turn(connection)
    assert await connection.fetchval("SELECT count(*) FROM main.model_performance") == 0
    assert await connection.fetchval("SELECT count(*) FROM headrace.touched_hours") == 0


async def test_another_threshold_measures_every_day_anew(
    registry: Registry, refresh: Refresh, connection: asyncpg.Connection
) -> None:
    own = (feature("x"), prediction("score"), label("late"))
    definition = ModelDefinition("model", own, task=TaskDefinition(TaskType.BINARY_CLASSIFICATION))
    await registry.register("main", definition)
    frame = made_up(60).assign(score=0.6, late=True, model_version="v1", variant="")
    frame["recorded_time"] = frame.event_time
    await stored(connection, frame, ["score"], ["late"])
    await connection.execute("UPDATE headrace.touched_hours SET kind = 'EVENTS', hours = (1 << 24) - 1")
    await connection.execute(
        "INSERT INTO headrace.touched_hours SELECT project, model, 'LABELS', day, 0 FROM headrace.touched_hours"
    )
    await refresh.turn(connection)
    recalls = "SELECT DISTINCT recall FROM main.model_performance"
    assert [row[0] for row in await connection.fetch(recalls)] == [1.0]
    await registry.update("main", "model", task=TaskDefinition(threshold=0.7))
    await refresh.turn(connection)
    assert [row[0] for row in await connection.fetch(recalls)] == [0.0]


async def test_a_shadow_variant_stands_beside_the_champion_on_the_same_labels(
    registry: Registry, refresh: Refresh, connection: asyncpg.Connection
) -> None:
    own = (feature("x"), prediction("score"), label("late"))
    definition = ModelDefinition("model", own, task=TaskDefinition(TaskType.BINARY_CLASSIFICATION))
    model, _ = await registry.register("main", definition)
    await registry.use_late_kind(model, "variants")
    random = np.random.default_rng(8)
    frame = made_up(200).assign(score=random.beta(2, 3, 200), variant="", model_version="v1")
    frame["late"] = random.uniform(size=200) < frame.score
    frame["recorded_time"] = frame.event_time
    await stored(connection, frame, ["score"], ["late"])
    shadow = frame[::10].assign(score=lambda rows: 1 - rows.score)
    await connection.executemany(
        "INSERT INTO main.model_variants (event_id, event_time, recorded_time, variant, model_version, score)"
        " VALUES ($1, $2, $3, 'shadow-2', 'v2', $4)",
        [tuple(row) for row in shadow[["event_id", "event_time", "recorded_time", "score"]].itertuples(index=False)],
    )
    await refresh.turn(connection)
    for day, rows in frame.groupby(frame.event_time.dt.floor("D")):
        view = await shown(connection, "main.model_performance", f"grain = 'DAY' AND bucket = '{day}'")
        among = rows[rows.event_id.isin(shadow.event_id)]
        all_events, champion, other = (
            view[(view.is_shadow == is_shadow) & (view.among == among_)].iloc[0]
            for is_shadow, among_ in ((False, ""), (False, "shadow-2"), (True, "shadow-2"))
        )
        assert (all_events.labelled, champion.labelled, other.labelled) == (len(rows), len(among), len(among))
        assert (other.variant, other.model_version, champion.model_version) == ("shadow-2", "v2", "v1")
        for ours, score in ((champion, among.score), (other, 1 - among.score)):
            truth = among.late.astype(bool)
            assert ours.accuracy == pytest.approx(((score >= 0.5) == truth).mean())
            assert ours.log_loss == pytest.approx(metrics.log_loss(truth, score, labels=[False, True]))
