from dataclasses import replace
from datetime import timedelta

import pytest

from headrace_server.errors import ModelInvalidError, NameInvalidError, TypeConflictError
from headrace_server.models import evolution
from headrace_server.models.column_types import ValueType
from headrace_server.models.definition import ColumnDefinition
from headrace_server.models.schema import ColumnKind, EventIdType, Identity, UnknownColumns
from support.model_definitions import feature, flights, label, prediction


def test_a_new_model_has_the_documented_defaults() -> None:
    schema = evolution.create("main", flights(label("late"), name="Flight Delay"), "v1")
    assert (schema.name, schema.sql_name, schema.versions) == ("Flight Delay", "flight_delay", ("v1",))
    assert schema.identity is Identity.UNIQUE
    assert schema.event_id_type is EventIdType.TEXT
    assert schema.unknown_columns is UnknownColumns.REJECT
    assert schema.chunk_interval == timedelta(days=7)
    assert schema.earliest_event_time.year == 1990
    assert schema.latest_ahead == timedelta(days=1)
    assert [column.sql_name for column in schema.event_columns] == ["dep_delay", "score"]
    assert [column.sql_name for column in schema.labels] == ["late"]


def test_the_same_definition_again_gives_the_very_same_schema() -> None:
    schema = evolution.create("main", flights(label("late")), "v1")
    assert evolution.extend(schema, flights(label("late")), "v1") is schema
    assert evolution.extend(schema, flights()) is schema


def test_columns_that_fold_alike_are_one_column() -> None:
    schema = evolution.create("main", flights())
    assert evolution.add_columns(schema, [feature("Dep-Delay")]) is schema


def test_new_columns_and_versions_come_last() -> None:
    schema = evolution.create("main", flights(label("late")), "v1")
    grown = evolution.extend(schema, flights(feature("wind")), "v2")
    assert [column.name for column in grown.columns] == ["dep_delay", "score", "late", "wind"]
    assert grown.versions == ("v1", "v2")


@pytest.mark.parametrize(
    "column",
    [feature("dep_delay", ValueType.STRING), prediction("Dep Delay"), feature("dep_delay", ValueType.VECTOR, 3)],
    ids=["type", "kind", "vector"],
)
def test_a_column_that_stands_otherwise_is_a_conflict(column: ColumnDefinition) -> None:
    schema = evolution.create("main", flights())
    with pytest.raises(TypeConflictError) as caught:
        evolution.add_columns(schema, [feature("new"), column])
    assert list(caught.value.fields) == ["model.columns[1]"]


def test_a_vectors_dimension_is_part_of_its_type() -> None:
    schema = evolution.create("main", flights(feature("image", ValueType.VECTOR, 3)))
    assert evolution.add_columns(schema, [feature("image", ValueType.VECTOR, 3)]) is schema
    with pytest.raises(TypeConflictError, match=r"VECTOR\(3\), not VECTOR\(4\)"):
        evolution.add_columns(schema, [feature("image", ValueType.VECTOR, 4)])


def test_identity_and_id_type_cannot_change_but_may_be_left_out() -> None:
    schema = evolution.create("main", flights(identity=Identity.APPEND, event_id_type=EventIdType.UUID))
    assert evolution.extend(schema, flights()) is schema
    with pytest.raises(TypeConflictError, match="APPEND"):
        evolution.extend(schema, flights(identity=Identity.UNIQUE))
    with pytest.raises(TypeConflictError, match="UUID"):
        evolution.extend(schema, flights(event_id_type=EventIdType.TEXT))


def test_a_label_may_share_the_name_of_a_feature() -> None:
    schema = evolution.create("main", flights(feature("late", ValueType.BOOL), label("late")))
    assert [column.sql_name for column in schema.columns] == ["dep_delay", "score", "late", "late"]
    assert evolution.joined_name(schema.labels[0], {"late"}) == "label_late"


def test_a_later_feature_may_not_take_a_labels_name_in_the_joined_view() -> None:
    schema = evolution.create("main", flights(label("late")))
    with pytest.raises(TypeConflictError, match="LABEL already"):
        evolution.add_columns(schema, [feature("late", ValueType.BOOL)])


@pytest.mark.parametrize(
    "columns",
    [
        (feature("late"), label("late"), feature("label_late")),
        (feature("time"), label("time")),
    ],
    ids=["another column", "a system column"],
)
def test_a_label_that_would_share_its_joined_name_is_a_conflict(columns: tuple[ColumnDefinition, ...]) -> None:
    with pytest.raises(TypeConflictError, match="joined view"):
        evolution.create("main", flights(*columns))


def test_every_impossible_column_is_named() -> None:
    columns = (
        feature("Dep Delay"),
        feature("€"),
        feature("image", ValueType.VECTOR),
        feature("count", ValueType.INT64, 4),
        ColumnDefinition("long", ColumnKind.EXTRA, ValueType.STRING, description="x" * 1_001),
        ColumnDefinition("nul", ColumnKind.EXTRA, ValueType.STRING, description="a\0"),
        label("drawn", ValueType.BYTES),
    )
    with pytest.raises(ModelInvalidError) as caught:
        evolution.create("main", flights(*columns))
    assert set(caught.value.fields) == {
        "model.columns[2].name",
        "model.columns[3].name",
        "model.columns[4].dimension",
        "model.columns[5].dimension",
        "model.columns[6].description",
        "model.columns[7].description",
        "model.columns[8].type",
    }


def test_a_model_has_at_most_a_thousand_columns() -> None:
    columns = [feature(f"x{number}", ValueType.BOOL) for number in range(998)]
    schema = evolution.create("main", flights(*columns))
    assert len(schema.columns) == evolution.MAX_COLUMNS
    with pytest.raises(ModelInvalidError, match="1001 columns"):
        evolution.add_columns(schema, [feature("one_more", ValueType.BOOL)])


def test_numbers_that_fit_no_page_are_refused_before_a_row_is() -> None:
    with pytest.raises(ModelInvalidError, match="VECTOR"):
        evolution.create("main", flights(*(feature(f"x{number}") for number in range(960))))


@pytest.mark.parametrize("interval", [timedelta(minutes=59), timedelta(days=366), timedelta()])
def test_a_chunk_spans_an_hour_to_a_year(interval: timedelta) -> None:
    with pytest.raises(ModelInvalidError) as caught:
        evolution.create("main", flights(chunk_interval=interval))
    assert list(caught.value.fields) == ["model.chunk_interval"]


@pytest.mark.parametrize("version", ["x" * 129, "ä" * 65, "a\0b"])
def test_versions_are_storable_and_short(version: str) -> None:
    with pytest.raises(ModelInvalidError) as caught:
        evolution.create("main", flights(), version)
    assert list(caught.value.fields) == ["version"]


def test_versions_end_at_ten_thousand() -> None:
    schema = evolution.create("main", flights())
    full = replace(schema, versions=tuple(str(number) for number in range(evolution.MAX_VERSIONS)))
    assert evolution.add_version(full, "7") is full
    with pytest.raises(ModelInvalidError, match="10000 versions"):
        evolution.add_version(full, "new")


def test_a_models_own_name_is_checked() -> None:
    with pytest.raises(NameInvalidError):
        evolution.create("main", flights(name="flight_labels"))
