"""Which role a column gets when nobody says it, and what a task misses."""

from __future__ import annotations

import pytest

from headrace.schemas.tasks import Candidate, ColumnRole, TaskType, cannot_have, inferred_roles, missing_roles

Columns = list[Candidate]


def feature(name: str, type_: str = "FLOAT64", role: ColumnRole | None = None) -> Candidate:
    return Candidate(name, "FEATURE", type_, role)


def prediction(name: str, type_: str = "FLOAT64", role: ColumnRole | None = None) -> Candidate:
    return Candidate(name, "PREDICTION", type_, role)


def label(name: str, type_: str = "BOOL", role: ColumnRole | None = None) -> Candidate:
    return Candidate(name, "LABEL", type_, role)


@pytest.mark.parametrize(
    ("task", "columns", "roles"),
    [
        ("BINARY_CLASSIFICATION", [feature("x"), prediction("p"), label("late")], [None, "SCORE", "TARGET"]),
        ("BINARY_CLASSIFICATION", [prediction("p"), prediction("is_late", "BOOL")], ["SCORE", "PREDICTED_CLASS"]),
        ("BINARY_CLASSIFICATION", [prediction("a"), prediction("score")], [None, "SCORE"]),
        ("BINARY_CLASSIFICATION", [prediction("a"), label("y", "FLOAT64")], ["SCORE", "TARGET"]),
        (
            "MULTICLASS_CLASSIFICATION",
            [prediction("kind", "STRING"), prediction("all", "JSON"), label("truth", "CATEGORY")],
            ["PREDICTED_CLASS", "PROBABILITIES", "TARGET"],
        ),
        ("REGRESSION", [prediction("minutes"), label("arr_delay", "FLOAT64")], ["PREDICTED_VALUE", "TARGET"]),
        (
            "RANKING",
            [feature("group_id", "STRING"), feature("Item_ID", "INT64"), prediction("Rank", "INT64"), label("clicked")],
            ["GROUP_ID", "ITEM_ID", "RANK", "RELEVANCE"],
        ),
        ("OBJECT_DETECTION", [prediction("found", "JSON"), label("drawn", "JSON")], ["BOXES", "BOXES"]),
        ("SEGMENTATION", [prediction("areas", "JSON")], ["MASKS"]),
        ("KEYPOINT_DETECTION", [prediction("lines", "JSON")], ["LINES"]),
        (
            "TEXT_GENERATION",
            [feature("question", "STRING"), feature("tokens"), prediction("answer", "STRING"), label("good")],
            ["PROMPT", None, "RESPONSE", None],
        ),
    ],
)
def test_a_role_goes_to_the_column_that_alone_can_have_it(task: str, columns: Columns, roles: list[str | None]) -> None:
    found = inferred_roles(TaskType[task], columns)
    assert [role.name if role else None for role in found] == roles


def test_of_two_columns_that_could_have_a_role_none_gets_it() -> None:
    columns = [prediction("a"), prediction("b"), label("x"), label("y")]
    assert inferred_roles(TaskType.BINARY_CLASSIFICATION, columns) == [None] * 4
    assert missing_roles(TaskType.BINARY_CLASSIFICATION, columns) == [
        "SCORE or PREDICTED_CLASS or PROBABILITIES",
        "TARGET among the labels",
    ]


def test_a_role_that_is_given_stays_and_is_not_given_twice() -> None:
    columns = [prediction("a", role=ColumnRole.SCORE), prediction("score"), label("x", role=ColumnRole.TARGET)]
    assert inferred_roles(TaskType.BINARY_CLASSIFICATION, columns) == [ColumnRole.SCORE, None, ColumnRole.TARGET]


def test_every_missing_role_is_named() -> None:
    assert missing_roles(TaskType.RANKING, [prediction("p"), label("clicked")]) == [
        "GROUP_ID",
        "ITEM_ID",
        "RANK or PREDICTED_VALUE",
        "RELEVANCE among the labels",
    ]


def test_a_model_without_labels_needs_no_truth() -> None:
    columns = [prediction("p", role=ColumnRole.PREDICTED_VALUE)]
    assert missing_roles(TaskType.REGRESSION, columns) == []


def test_a_role_is_not_for_every_column() -> None:
    assert cannot_have(ColumnRole.SCORE, "PREDICTION", "FLOAT64") is None
    assert cannot_have(ColumnRole.SCORE, "FEATURE", "STRING") == (
        "a SCORE is a PREDICTION of type FLOAT64, not a FEATURE of type STRING"
    )
