"""The order in which labels are looked for and stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from headrace_server.copying.landing import GroupRows
from headrace_server.joining.arrangement import arrange, micros_of, times_of
from headrace_server.joining.tables import NO_TIME, LateTables
from headrace_server.models import evolution
from headrace_server.models.column_types import TIMESTAMP
from headrace_server.models.late_tables import LABELS
from support.model_definitions import flights, label

TABLES = LateTables.of(evolution.create("main", flights(label("late"))), LABELS)
START = datetime(2024, 5, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


def group(columns: dict[str, pa.Array]) -> GroupRows:
    table = pa.table(columns)
    return GroupRows([], table, np.zeros(len(table), dtype=np.int64), np.arange(len(table)))


def test_labels_stand_by_chunk_then_id_and_those_without_time_last() -> None:
    times = pa.array([None, START + 2 * WEEK, START, None, START + timedelta(hours=1)], TIMESTAMP)
    labels = arrange(TABLES, group({"event_id": pa.array(["z", "a", "c", "b", "a"]), "event_time": times}))
    assert labels.ids.to_pylist() == ["a", "c", "a", "b", "z"]
    assert labels.order.tolist() == [4, 2, 1, 3, 0]
    assert labels.given.tolist() == [True, True, True, False, False]
    assert (labels.sought[3:] == NO_TIME).all()
    assert labels.rows.places.tolist() == labels.order.tolist()


def test_labels_of_one_id_know_their_turn_in_the_group() -> None:
    labels = arrange(TABLES, group({"event_id": pa.array(["b", "a", "b", "c", "b", "a"])}))
    by_place = {
        int(place): (int(turn), bool(many))
        for place, turn, many in zip(labels.order, labels.turn, labels.repeated, strict=True)
    }
    assert by_place == {0: (0, True), 1: (0, True), 2: (1, True), 3: (0, False), 4: (2, True), 5: (1, True)}


def test_an_id_that_carries_a_time_is_sought_there_but_has_none_given() -> None:
    labels = arrange(TABLES, group({"event_id": pa.array(["017F22E2-79B0-7CC3-98C4-DC0C0C07398F", "a"])}))
    assert labels.sought.tolist() == [0x017F22E279B0 * 1000, NO_TIME]
    assert not labels.given.any()
    assert labels.rows.table.column("event_time").null_count == 2


def test_columns_in_pieces_are_arranged_like_whole_ones() -> None:
    ids = pa.chunked_array([["b", "a"], ["c"]])
    times = pa.chunked_array([pa.array([START, START], TIMESTAMP), pa.array([None], TIMESTAMP)])
    labels = arrange(TABLES, group({"event_id": ids, "event_time": times}))
    assert labels.ids.to_pylist() == ["a", "b", "c"]


def test_times_go_to_numbers_and_back() -> None:
    times = pa.chunked_array([pa.array([START, None, datetime(1969, 12, 31, tzinfo=UTC)], TIMESTAMP)])
    assert times_of(micros_of(times)).to_pylist() == times.to_pylist()
