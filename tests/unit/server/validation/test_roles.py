"""What roles ask of values, column by column: which rows are refused, for which reason."""

from __future__ import annotations

from typing import Any

import orjson
import pyarrow as pa
import pytest

from headrace.schemas.tasks import ColumnRole, TaskType
from headrace_server.decoding.decoded import Cells, DecodedRows
from headrace_server.models.column_types import ValueType
from headrace_server.models.definition import ColumnDefinition, TaskDefinition
from headrace_server.models.schema import ColumnKind
from headrace_server.validation.model_fields import LONG_TEXT_BYTES
from headrace_server.validation.validate import validate
from support.event_schemas import MOMENT, schema

Refused = dict[tuple[str, str], list[int]]

KINDS = {ColumnRole.PROMPT: ColumnKind.FEATURE, ColumnRole.GROUP_ID: ColumnKind.EXTRA}
POLYGON = [[0, 0], [1, 0], [1, 1.5]]


def refused(role: str, type_: str, values: list[Any], classes: tuple[str, ...] = ()) -> Refused:
    """Refused rows of a column `x` of this role, by (reason, column)."""
    own = ColumnDefinition(
        "x", KINDS.get(ColumnRole[role], ColumnKind.PREDICTION), ValueType[type_], 0, "", ColumnRole[role]
    )
    if type_ == "JSON":
        texts = [None if value is None else orjson.dumps(value).decode() for value in values]
        cells = Cells(pa.array(texts, pa.string()), is_json=True)
    else:
        cells = Cells(pa.array(values, ValueType[type_].arrow))
    ids = Cells(pa.array([f"e{row}" for row in range(len(values))]))
    times = Cells(pa.array([1_700_000_000] * len(values)))
    rows = DecodedRows(len(values), {"event_id": ids, "event_time": times, "x": cells})
    validated = validate(rows, schema(own, task=TaskDefinition(classes=classes)), MOMENT)
    return {(group.reason, group.column): group.rows.nonzero()[0].tolist() for group in validated.rejections.groups}


def test_a_score_is_between_nought_and_one() -> None:
    values = [0.0, 1.0, None, -0.01, 1.01, float("nan"), float("inf")]
    assert refused("SCORE", "FLOAT64", values) == {("PROBABILITY_OUT_OF_RANGE", "x"): [3, 4, 5, 6]}


@pytest.mark.parametrize(
    ("type_", "values", "classes"),
    [
        ("STRING", ["cat", None, "cow", "dog"], ("cat", "dog")),
        ("INT64", [0, None, 2, 1], ("0", "1")),
        ("BOOL", [True, None, False, True], ("true",)),
    ],
)
def test_a_class_is_one_of_the_models(type_: str, values: list[Any], classes: tuple[str, ...]) -> None:
    assert refused("PREDICTED_CLASS", type_, values, classes) == {("UNKNOWN_CLASS", "x"): [2]}
    assert refused("PREDICTED_CLASS", type_, values) == {}


def test_probabilities_are_an_object_of_known_classes() -> None:
    values = [{"cat": 0.8, "dog": 0.2}, None, {}, {"cow": 1}, {"cat": 1.5}, {"cat": "1"}, {"cat": True}, [0.8]]
    assert refused("PROBABILITIES", "JSON", values, ("cat", "dog")) == {
        ("UNKNOWN_CLASS", "x"): [3],
        ("PROBABILITY_OUT_OF_RANGE", "x"): [4],
        ("PAYLOAD_INVALID", "x"): [5, 6, 7],
    }
    assert refused("PROBABILITIES", "JSON", [{"cow": 1}]) == {}


@pytest.mark.parametrize(
    ("role", "drawn", "good", "bad"),
    [
        ("BOXES", "boxes", [[0, 0, 1, 1.5]], [[1, 2, 3], [1, 2, -3, 4], [1, 2, 3, "4"], [1, 2, 3, True], 7]),
        ("MASKS", "masks", [[POLYGON], [POLYGON, POLYGON], "s3://b/m.png"], ["", [], [POLYGON[:2]], POLYGON, 7]),
        ("KEYPOINTS", "keypoints", [[[1, 2], [3, 4, 1]]], [[], [[1]], [1, 2], [[1, 2, 3, 4]], "k"]),
        ("LINES", "lines", [[[1, 2], [3, 4]]], [[[1, 2]], [[1, 2], [3]], 7]),
        ("POINTS", "points", [[1, 2.5]], [[1], [1, 2, 3], "p", 7]),
    ],
)  # fmt: skip
def test_each_role_draws_in_its_own_way(role: str, drawn: str, good: list[Any], bad: list[Any]) -> None:
    values = [{"classes": ["cat"], drawn: [drawing]} for drawing in (*good, *bad)]
    wrong = list(range(len(good), len(values)))
    assert refused(role, "JSON", values) == {("GEOMETRY_INVALID", "x"): wrong}
    assert refused(role, "JSON", values[: len(good)]) == {}


def test_objects_have_an_entry_in_every_list() -> None:
    box = [0, 0, 1, 1]
    values = [
        {"classes": [], "boxes": []},
        {"classes": ["cat", "dog"], "boxes": [box, box], "scores": [0.5, 1]},
        {"classes": ["cat"], "boxes": [box, box]},
        {"classes": ["cat"], "boxes": [box], "scores": []},
    ]
    assert refused("BOXES", "JSON", values) == {("OBJECT_COUNT", "x"): [2, 3]}


def test_what_is_no_payload_is_told() -> None:
    values = [
        {"boxes": []},
        {"classes": []},
        {"classes": [], "boxes": [], "labels": []},
        {"classes": "cat", "boxes": []},
        {"classes": [1], "boxes": [[0, 0, 1, 1]]},
        {"classes": ["cat"], "boxes": [[0, 0, 1, 1]], "scores": ["0.5"]},
        "boxes",
    ]
    assert refused("BOXES", "JSON", values) == {("PAYLOAD_INVALID", "x"): list(range(7))}


def test_masks_and_keypoints_may_have_boxes_beside_them() -> None:
    good = {"classes": ["cat"], "masks": ["m.png"], "boxes": [[0, 0, 1, 1]]}
    assert refused("MASKS", "JSON", [good, good | {"boxes": [[0]]}]) == {("GEOMETRY_INVALID", "x"): [1]}


def test_large_payloads_are_looked_at_piece_by_piece() -> None:
    many = {"classes": ["cat"] * 5_000, "boxes": [[0, 0, 1, 1]] * 5_000}
    assert refused("BOXES", "JSON", [many] * 5 + [many | {"boxes": []}]) == {("OBJECT_COUNT", "x"): [5]}


def test_prompts_may_be_longer_than_other_texts() -> None:
    texts = ["a" * LONG_TEXT_BYTES, "a" * (LONG_TEXT_BYTES + 1)]
    assert refused("PROMPT", "STRING", texts) == {("TEXT_TOO_LONG", "x"): [1]}
    assert refused("RESPONSE", "STRING", texts) == {("TEXT_TOO_LONG", "x"): [1]}


def test_a_rank_counts_from_one() -> None:
    assert refused("RANK", "INT64", [1, None, 0, -1]) == {("VALUE_OUT_OF_RANGE", "x"): [2, 3]}
    assert refused("RANK", "FLOAT64", [1.0, 0.5, float("nan")]) == {("VALUE_OUT_OF_RANGE", "x"): [1, 2]}


def test_an_item_has_its_group() -> None:
    assert refused("GROUP_ID", "STRING", ["g", None]) == {("GROUP_ID_REQUIRED", "x"): [1]}


def test_a_column_is_called_by_its_role_unless_another_has_that_name() -> None:
    score = ColumnDefinition("p", ColumnKind.PREDICTION, ValueType.FLOAT64, role=ColumnRole.SCORE)
    other = ColumnDefinition("score", ColumnKind.FEATURE, ValueType.FLOAT64)
    label = ColumnDefinition("score", ColumnKind.LABEL, ValueType.FLOAT64)
    assert schema(score).fields["score"].sql_name == "p"
    assert schema(score, other).fields["score"].sql_name == "score"
    assert "score" not in schema(score, label).fields


def test_prediction_means_what_the_task_asks_for_first() -> None:
    columns = (
        ColumnDefinition("all", ColumnKind.PREDICTION, ValueType.JSON),
        ColumnDefinition("kind", ColumnKind.PREDICTION, ValueType.STRING),
    )
    task = TaskDefinition(TaskType.MULTICLASS_CLASSIFICATION)
    assert schema(*columns, task=task).fields["prediction"].sql_name == "kind"
    assert "prediction" not in schema(*columns).fields
