"""Which rows of labels a model takes, and what the others are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace.v1 import batch_pb2
from headrace_server.decoding.decoded import Cells, DecodedRows
from headrace_server.late_kinds.kind import LateKind
from headrace_server.late_kinds.kinds import LateKinds
from headrace_server.models import evolution
from headrace_server.models.column_types import ValueType
from headrace_server.models.definition import ColumnDefinition
from headrace_server.models.schema import ColumnKind, ModelSchema, UnknownColumns
from headrace_server.validation.row_schema import Moment
from headrace_server.validation.validate import ValidatedRows, validate
from support.model_definitions import feature, flights, label

NOW = datetime(2024, 5, 1, tzinfo=UTC)


def model_with(*columns: ColumnDefinition, **settings: Any) -> ModelSchema:
    return evolution.create("main", flights(*columns, **settings))


def labels_kind() -> LateKind:
    return LateKinds(wake=lambda: None).by_number[batch_pb2.RECORD_KIND_LABELS]


def validated(model: ModelSchema, columns: Mapping[str, Sequence[object]]) -> ValidatedRows:
    schema = labels_kind().row_schema(model)
    assert schema is not None
    rows = DecodedRows(len(next(iter(columns.values()))), {name: Cells(list(cells)) for name, cells in columns.items()})
    return validate(rows, schema, Moment(NOW))


def reasons(rows: ValidatedRows) -> list[tuple[str, str, list[int]]]:
    return [(group.reason, group.column, group.rows.nonzero()[0].tolist()) for group in rows.rejections.groups]


def test_a_model_without_labels_takes_no_rows_of_labels() -> None:
    assert labels_kind().row_schema(model_with()) is None


def test_labels_are_named_as_written_or_folded_and_the_only_one_as_label() -> None:
    model = model_with(label("Arrival Delay", ValueType.FLOAT64))
    for name in ("Arrival Delay", "arrival_delay", "label"):
        rows = validated(model, {"event_id": ["a"], name: [1.5]})
        assert not rows.rejections
        assert rows.table.column("arrival_delay").to_pylist() == [1.5]


def test_of_several_labels_none_is_called_label() -> None:
    rows = validated(model_with(label("late"), label("gate")), {"event_id": ["a"], "late": [True], "label": [True]})
    assert reasons(rows) == [("UNKNOWN_COLUMN", "label", [0])]


def test_a_row_without_any_label_is_refused_and_one_whose_label_was_bad_only_for_that() -> None:
    model = model_with(label("late"), label("minutes", ValueType.FLOAT64))
    cells = {
        "event_id": ["a", "b", "c", "d"],
        "late": [True, None, None, None],
        "minutes": [None, 2.0, None, "long"],
    }
    rows = validated(model, cells)
    assert reasons(rows) == [("WRONG_TYPE", "minutes", [3]), ("LABEL_REQUIRED", "", [2])]
    assert rows.places.tolist() == [0, 1]


@pytest.mark.parametrize("name", ["dep_delay", "score", "prediction", "observed_time", "latency_ms", "model_version"])
def test_columns_of_the_event_are_immutable(name: str) -> None:
    rows = validated(model_with(label("late")), {"event_id": ["a", "b"], "late": [True, True], name: [None, 1.0]})
    assert reasons(rows) == [("IMMUTABLE_COLUMN", name, [1])]


def test_recorded_time_is_the_services_own() -> None:
    rows = validated(model_with(label("late")), {"event_id": ["a"], "late": [True], "recorded_time": [NOW]})
    assert reasons(rows) == [("IMMUTABLE_COLUMN", "recorded_time", [0])]


def test_a_label_named_like_a_feature_is_a_label_here() -> None:
    rows = validated(model_with(feature("late"), label("late")), {"event_id": ["a"], "late": [True]})
    assert not rows.rejections
    assert rows.table.column("late").to_pylist() == [True]


def test_a_label_named_like_a_system_column_is_sent_as_it_is_stored() -> None:
    model = model_with(label("source", ValueType.FLOAT64))
    rows = validated(model, {"event_id": ["a"], "source": ["radar"], "f_source": [1.0]})
    assert not rows.rejections
    assert rows.table.column_names == ["event_id", "source", "f_source"]


@pytest.mark.parametrize("unknown", list(UnknownColumns))
def test_unknown_columns_are_refused_whatever_the_model_does_with_its_events(unknown: UnknownColumns) -> None:
    model = model_with(label("late"), unknown_columns=unknown)
    rows = validated(model, {"event_id": ["a"], "late": [True], "gate": ["B7"]})
    assert reasons(rows) == [("UNKNOWN_COLUMN", "gate", [0])]


def test_event_time_may_be_missing_and_has_to_be_in_range_where_it_is_not() -> None:
    times = [None, NOW.isoformat(), "1950-01-01T00:00:00Z", (NOW + timedelta(days=2)).isoformat()]
    rows = validated(model_with(label("late")), {"event_id": list("abcd"), "event_time": times, "late": [True] * 4})
    assert reasons(rows) == [("EVENT_TIME_OUT_OF_RANGE", "event_time", [2, 3])]
    assert rows.table.column("event_time").to_pylist() == [None, NOW]


def test_label_columns_are_what_the_kind_says_they_are() -> None:
    assert not labels_kind().adds_columns
    assert model_with(label("late")).labels[0].kind is ColumnKind.LABEL
