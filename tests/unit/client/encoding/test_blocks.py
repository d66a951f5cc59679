"""Columns written block by block are the columns written whole."""

import random
from typing import Any

import pytest

from headrace.encoding import blocks, wire
from headrace.encoding.arrow_values import WORTHWHILE_ROWS
from headrace.encoding.blocks import BLOCK_ROWS, add_columns
from headrace.encoding.columns import MixedColumn, UnencodableRows, add_column

SIZES = (1, BLOCK_ROWS, BLOCK_ROWS + 1, 3 * BLOCK_ROWS + 5)


@pytest.fixture(autouse=True)
def python_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrow has these columns written before any block is (test_arrow_values.py)."""
    monkeypatch.setattr(blocks, "add_values", lambda *_: False)


def in_blocks(values: list[object]) -> Any:
    columns = wire.ColumnBatch().columns
    add_columns(columns, {"x": values}, len(values))
    return columns


def whole(values: list[object]) -> Any:
    columns = wire.ColumnBatch().columns
    add_column(columns, "x", values)
    return columns


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("nulls", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    "make",
    [
        lambda chance: chance.random(),
        lambda chance: chance.randrange(-(2**62), 2**62),
        lambda chance: chance.random() < 0.5,
        lambda chance: "é" * chance.randrange(200),
        lambda chance: {"a": [chance.random()]},
        lambda chance: [chance.random(), 1.0],
        lambda chance: ["a"] * chance.randrange(3),
        lambda chance: chance.choice([1, 0.5]),
    ],
    ids=["floats", "ints", "bools", "texts", "json", "vectors", "text lists", "ints and floats"],
)
def test_every_form_of_column_is_the_same_in_blocks(count: int, nulls: float, make: Any) -> None:
    chance = random.Random(count)
    values = [None if chance.random() < nulls else make(chance) for _ in range(count)]
    assert list(in_blocks(values)) == list(whole(values))


def test_a_column_that_is_null_in_one_whole_block_is_the_same() -> None:
    values = [1.5] * BLOCK_ROWS + [None] * BLOCK_ROWS + [2.5] * 7
    assert list(in_blocks(values)) == list(whole(values))


def test_a_column_without_nulls_in_one_block_has_a_bitmap_for_all() -> None:
    values = [1.5] * BLOCK_ROWS + [None, 2.5] + [3.5] * (BLOCK_ROWS - 2) + [4.5] * 11
    assert list(in_blocks(values)) == list(whole(values))


def test_faults_are_told_by_their_row_in_the_whole_column() -> None:
    values: list[object] = [1] * (2 * BLOCK_ROWS)
    values[BLOCK_ROWS + 3] = 2**70
    with pytest.raises(UnencodableRows) as told:
        in_blocks(values)
    assert list(told.value.faults) == [BLOCK_ROWS + 3]


def test_values_of_two_kinds_are_mixed_whichever_block_they_are_in() -> None:
    with pytest.raises(MixedColumn):
        in_blocks(["a"] * BLOCK_ROWS + [1.5] * BLOCK_ROWS)


def test_few_rows_are_not_worth_the_way_by_arrow(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(blocks, "add_values", lambda columns, name, values: bool(asked.append(len(values))))
    for count in (1, WORTHWHILE_ROWS - 1, WORTHWHILE_ROWS):
        assert list(in_blocks([0.5] * count)) == list(whole([0.5] * count))
    assert asked == [WORTHWHILE_ROWS]
