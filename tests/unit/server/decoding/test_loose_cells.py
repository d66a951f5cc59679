"""Untyped cells: an array where they agree, the cells themselves where they do not."""

from typing import Any

import pyarrow as pa
import pytest

from headrace_server.decoding.loose_cells import pack


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([True, None], pa.bool_()),
        ([1, None, -3], pa.int64()),
        ([1, 2.5], pa.float64()),
        ([None, "a"], pa.string()),
        ([None, None], pa.null()),
        ([[1, 2], None, []], pa.list_(pa.int64())),
        ([[0.5], [1]], pa.list_(pa.float64())),
        ([["a"], []], pa.list_(pa.string())),
        ([[], []], pa.list_(pa.null())),
    ],
)
def test_cells_that_agree_become_an_array(values: list[Any], kind: pa.DataType) -> None:
    packed = pack(values)
    assert packed.values.type == kind
    assert packed.python_values() == values


@pytest.mark.parametrize(
    "values",
    [
        [1, "a"],
        ["a", 1],
        [True, 1],
        [1, True],
        [2**63, 1],
        [2**64 - 1],
        [1, 2**53 + 1, 0.5],
        [{"a": 1}, None, {"b": 2}],
        [None, {"a": 1}, 5],
        [[1], ["a"]],
        [[[1]]],
        [[{"a": 1}]],
        [1, [1]],
    ],
)
def test_cells_that_do_not_agree_stay_as_they_are(values: list[Any]) -> None:
    packed = pack(values)
    assert packed.values is values


def test_a_list_as_deep_as_json_may_be_is_no_trouble() -> None:
    deep: list[Any] = []
    for _ in range(1_000):
        deep = [deep]
    assert pack([deep, None]).values == [deep, None]
