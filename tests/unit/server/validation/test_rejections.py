"""Rejections: grouped by reason and column, bounded, each row refused once."""

import numpy as np

from headrace_server.validation.rejections import (
    MAX_COLUMN_CHARACTERS,
    MAX_GROUPS,
    MAX_MESSAGE_CHARACTERS,
    Rejections,
)


def mask(count: int, *rows: int) -> np.ndarray:
    marked = np.zeros(count, dtype=np.bool_)
    marked[list(rows)] = True
    return marked


def test_rows_of_one_reason_and_column_are_one_group_with_its_first_message() -> None:
    rejections = Rejections(5)
    assert not rejections
    rejections.add("WRONG_TYPE", "a", mask(5, 1), "first")
    rejections.add("WRONG_TYPE", "a", mask(5, 3), "second")
    rejections.add("WRONG_TYPE", "b", mask(5, 1, 4), "other")
    rejections.add("NUL_IN_TEXT", "a", mask(5), "none")
    told = [
        (group.reason, group.column, group.message, group.rows.nonzero()[0].tolist()) for group in rejections.groups
    ]
    assert told == [("WRONG_TYPE", "a", "first", [1, 3]), ("WRONG_TYPE", "b", "other", [1, 4])]
    assert rejections.mask().nonzero()[0].tolist() == [1, 3, 4]
    assert [(row, group.column) for row, group in rejections.first_groups()] == [(1, "a"), (3, "a"), (4, "b")]


def test_the_masks_of_the_caller_are_his_own() -> None:
    rows, rejections = mask(3, 1), Rejections(3)
    rejections.add("WRONG_TYPE", "a", rows, "m")
    rows[:] = True
    assert rejections.mask().tolist() == [False, True, False]


def test_beyond_a_hundred_groups_the_last_gathers_the_rest() -> None:
    rejections = Rejections(150)
    for row in range(150):
        rejections.add("UNKNOWN_COLUMN", f"c{row}", mask(150, row), f"message {row}")
    rejections.add("UNKNOWN_COLUMN", "c5", mask(150, 149), "again")
    assert len(rejections.groups) == MAX_GROUPS
    assert rejections.groups[-1].message == "message 99"
    assert rejections.groups[-1].rows.nonzero()[0].tolist() == list(range(99, 150))
    assert rejections.groups[5].rows.nonzero()[0].tolist() == [5, 149]
    assert rejections.mask().all()
    assert [row for row, _ in rejections.first_groups()] == list(range(150))


def test_a_copy_is_added_to_without_changing_the_original() -> None:
    rejections = Rejections(3)
    rejections.add("WRONG_TYPE", "a", mask(3, 0), "m")
    twin = rejections.copy()
    twin.add("WRONG_TYPE", "a", mask(3, 1), "m")
    twin.add("STORAGE_REJECTED", "", mask(3, 2), "m")
    assert rejections.mask().tolist() == [True, False, False]
    assert twin.mask().all()


def test_a_batch_without_rows_can_be_refused_all_the_same() -> None:
    rejections = Rejections(0)
    rejections.add_all("EMPTY_BATCH", "", "no rows")
    assert rejections
    assert [(group.reason, group.message) for group in rejections.groups] == [("EMPTY_BATCH", "no rows")]
    assert rejections.first_groups() == []


def test_names_and_messages_that_are_long_are_cut() -> None:
    rejections = Rejections(1)
    rejections.add_all("UNKNOWN_COLUMN", "c" * 5_000, "m" * 5_000)
    rejections.note("UNDECODABLE", "n" * 5_000)
    column, note = rejections.groups
    assert (len(column.column), len(column.message)) == (MAX_COLUMN_CHARACTERS, MAX_MESSAGE_CHARACTERS)
    assert note.message.endswith("n…")
    assert len(note.message) == MAX_MESSAGE_CHARACTERS
