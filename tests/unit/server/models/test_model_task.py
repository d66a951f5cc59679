from typing import Any

import pytest

from headrace.schemas.tasks import ColumnRole, TaskType
from headrace_server.errors import ModelInvalidError, TypeConflictError
from headrace_server.models import evolution, model_task
from headrace_server.models.column_types import ValueType
from headrace_server.models.definition import ColumnDefinition, ModelDefinition, TaskDefinition
from headrace_server.models.schema import ModelSchema
from support.model_definitions import feature, label, prediction

BINARY = TaskDefinition(TaskType.BINARY_CLASSIFICATION, ("on time", "late"))


def definition(*columns: ColumnDefinition, task: TaskDefinition = BINARY) -> ModelDefinition:
    return ModelDefinition("flight_delay", (feature("x"), *columns), task=task)


def model(*columns: ColumnDefinition, task: TaskDefinition = BINARY) -> ModelSchema:
    return evolution.create("main", definition(*columns, task=task))


def roles(schema: ModelSchema) -> list[ColumnRole | None]:
    return [column.role for column in schema.columns]


def test_a_simple_model_says_its_task_and_nothing_more() -> None:
    schema = model(prediction("p"), label("late"))
    assert roles(schema) == [None, ColumnRole.SCORE, ColumnRole.TARGET]
    assert (schema.positive_class, schema.threshold) == ("late", 0.5)


def test_a_model_without_a_task_has_no_roles_but_those_that_are_given() -> None:
    schema = model(prediction("p"), prediction("q", role=ColumnRole.SCORE), task=TaskDefinition())
    assert roles(schema) == [None, None, ColumnRole.SCORE]


def test_the_same_again_is_the_very_same_schema() -> None:
    schema = model(prediction("p"), label("late"))
    assert evolution.extend(schema, definition(prediction("p"), label("late"))) is schema
    assert evolution.extend(schema, definition(task=TaskDefinition())) is schema


def test_a_task_without_a_column_it_needs_names_each_missing_role() -> None:
    with pytest.raises(ModelInvalidError) as caught:
        model(task=TaskDefinition(TaskType.RANKING))
    assert caught.value.fields["model.task"] == (
        "RANKING needs a column of the role GROUP_ID; one of the role ITEM_ID; one of the role RANK or"
        " PREDICTED_VALUE: give the role to a column"
    )


def test_a_label_that_comes_later_gets_its_role_then() -> None:
    schema = model(prediction("p"))
    grown = evolution.extend(schema, definition(label("late")))
    assert roles(grown)[-1] is ColumnRole.TARGET


def test_a_task_may_be_set_later_but_not_changed() -> None:
    schema = model(prediction("p"), task=TaskDefinition())
    settled = model_task.settle(schema, BINARY)
    assert settled.task is TaskType.BINARY_CLASSIFICATION
    with pytest.raises(TypeConflictError) as caught:
        model_task.settle(settled, TaskDefinition(TaskType.REGRESSION))
    assert list(caught.value.fields) == ["model.task"]


def test_a_role_may_be_given_later_but_not_changed() -> None:
    schema = model(prediction("p"), task=TaskDefinition())
    given = evolution.add_columns(schema, [prediction("p", role=ColumnRole.SCORE)])
    assert roles(given) == [None, ColumnRole.SCORE]
    assert evolution.add_columns(given, [prediction("p")]) is given
    with pytest.raises(TypeConflictError, match="has the role SCORE, not PREDICTED_VALUE"):
        evolution.add_columns(given, [prediction("p", role=ColumnRole.PREDICTED_VALUE)])


def test_classes_are_added_in_their_order_and_never_removed() -> None:
    kinds = TaskDefinition(TaskType.MULTICLASS_CLASSIFICATION, ("cat", "dog"))
    schema = model(prediction("kind", ValueType.STRING), task=kinds)
    grown = model_task.settle(schema, TaskDefinition(classes=("dog", "cow")))
    assert grown.classes == ("cat", "dog", "cow")
    assert model_task.settle(grown, kinds) is grown


def test_the_threshold_of_a_later_registration_changes_nothing_and_that_of_an_update_does() -> None:
    schema = model(prediction("p"))
    assert evolution.extend(schema, definition(task=TaskDefinition(threshold=0.9))) is schema
    assert model_task.settle(schema, TaskDefinition(threshold=0.9)).threshold == 0.9


@pytest.mark.parametrize(
    ("task", "field"),
    [
        ({"threshold": 1.5}, "model.threshold"),
        ({"threshold": float("nan")}, "model.threshold"),
        ({"positive_class": "early"}, "model.positive_class"),
        ({"classes": ("a", "b", "c")}, "model.classes"),
        ({"classes": ("", "b")}, "model.classes"),
        ({"classes": ("a\0", "b")}, "model.classes"),
    ],
)
def test_what_is_no_class_or_threshold_is_named(task: dict[str, Any], field: str) -> None:
    asked = TaskDefinition(TaskType.BINARY_CLASSIFICATION, **({"classes": ("on time", "late")} | task))
    with pytest.raises(ModelInvalidError) as caught:
        model(prediction("p"), task=asked)
    assert list(caught.value.fields) == [field]


def test_there_are_at_most_ten_thousand_classes() -> None:
    many = TaskDefinition(TaskType.MULTICLASS_CLASSIFICATION, tuple(map(str, range(10_001))))
    with pytest.raises(ModelInvalidError, match="at most 10000"):
        model(prediction("kind", ValueType.STRING), task=many)


def test_another_positive_class_is_a_conflict() -> None:
    schema = model(prediction("p"))
    with pytest.raises(TypeConflictError) as caught:
        model_task.settle(schema, TaskDefinition(positive_class="on time"), prefix="")
    assert list(caught.value.fields) == ["positive_class"]


def test_a_role_is_one_columns_only() -> None:
    with pytest.raises(ModelInvalidError, match="two columns have the role SCORE"):
        model(prediction("p", role=ColumnRole.SCORE), prediction("q", role=ColumnRole.SCORE))


def test_a_role_needs_a_column_that_can_have_it() -> None:
    with pytest.raises(ModelInvalidError) as caught:
        model(prediction("p"), feature("y", role=ColumnRole.SCORE))
    assert list(caught.value.fields) == ["model.columns[2].role"]
