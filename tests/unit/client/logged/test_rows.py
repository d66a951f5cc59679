"""Logged rows become tables with the names the wire uses."""

from __future__ import annotations

from typing import Any

from headrace.logged.rows import columns_of, event_table, wire_name


def event(features: dict[str, Any] | None = None, prediction: object = None, **predictions: object) -> tuple[Any, ...]:
    return (None, "e", 1, features, prediction, predictions or None, None, *[None] * 8)


def test_rows_with_the_same_keys_become_columns_whatever_the_order_of_keys() -> None:
    assert columns_of([{"a": 1, "b": 2}, {"b": 4, "a": 3}]) == {"a": [1, 3], "b": [2, 4]}


def test_a_key_that_a_row_lacks_is_null_there_and_no_key_is_lost() -> None:
    assert columns_of([{"a": 1, "b": 2}, {"a": 3, "c": 4}]) == {"a": [1, 3], "b": [2, None], "c": [None, 4]}
    assert columns_of([{"a": 1}, {}]) == {"a": [1, None]}


def test_a_feature_called_like_a_system_column_is_prefixed() -> None:
    table, _ = event_table([event({"source": "x", "age": 1})])
    assert set(table.cells) == {"f_source", "age"}
    assert wire_name("label_time") == "f_label_time"


def test_the_only_prediction_goes_as_prediction_and_named_ones_by_name() -> None:
    table, _ = event_table([event({"a": 1}, 0.5), event({"a": 2}, None, score=0.7)])
    assert table.cells["prediction"] == [0.5, None]
    assert list(table.cells["score"]) == [None, 0.7]


def test_system_columns_are_there_only_when_a_row_has_them() -> None:
    row = (*event({"a": 1})[:7], 4.5, None, None, ["t"], None, None, None, None)
    table, _ = event_table([row, event({"a": 1})])
    assert table.cells["latency_ms"] == [4.5, None]
    assert table.cells["tags"] == [["t"], None]
    assert "source" not in table.cells


def test_what_has_its_name_on_the_wire_already_keeps_it() -> None:
    row = (*event({"a": 1})[:6], {"media_uri": "s3://b/i.png", "probabilities": {"cat": 1.0}}, *[None] * 8)
    table, _ = event_table([row, event({"a": 1})])
    assert table.cells["media_uri"] == ["s3://b/i.png", None]
    assert table.cells["probabilities"] == [{"cat": 1.0}, None]


def test_a_row_that_names_a_column_twice_is_refused_and_the_others_go() -> None:
    rows = [event({"a": 1}, None, b=1), event({"a": 2}, None, a=3), event({"b": 4})]
    table, (refused,) = event_table(rows)
    assert list(table.source_rows) == [0, 2]
    assert table.cells["b"] == [1, 4]
    assert (refused.source_row, refused.reason, refused.column) == (1, "COLUMN_REPEATED", "a")


def test_events_without_features_have_no_feature_columns() -> None:
    table, _ = event_table([event(None), event({})])
    assert table.cells == {}
    assert list(table.event_ids) == ["e", "e"]
