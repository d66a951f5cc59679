"""From verdicts to the answer: counts, runs of rows, and what need not be said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.v1 import error_reason_pb2, result_pb2
from headrace_server.batching.verdicts import MOST_RUNS_REPEATED, Verdict, fill_ranges, is_plain, result_of
from headrace_server.validation.rejections import Rejections
from support.wire_client import rows_of


@given(st.lists(st.booleans(), max_size=50))
def test_runs_say_exactly_the_rows_that_are_set(bits: list[bool]) -> None:
    ranges = result_pb2.RowRanges()
    fill_ranges(ranges, np.array(bits, dtype=np.bool_))
    assert rows_of(ranges) == [row for row, bit in enumerate(bits) if bit]
    starts, lengths = list(ranges.starts), list(ranges.lengths)
    assert all(length > 0 for length in lengths)
    assert all(start > before + length for before, length, start in zip(starts, lengths, starts[1:], strict=False))


def test_each_row_is_counted_once() -> None:
    rejections = Rejections(8)
    rejections.add("WRONG_TYPE", "dep_delay", np.arange(8) == 1, "no number")
    rejections.add("NUL_IN_TEXT", "note", np.isin(np.arange(8), [1, 2]), "NUL")
    verdicts = np.array([0, 3, 3, 1, 1, 2, 4, 5], dtype=np.uint8)
    result = result_of(7, verdicts, rejections)
    assert (result.seq, result.rows, result.stored, result.duplicate, result.conflict, result.rejected) == (
        7,
        8,
        3,
        2,
        1,
        2,
    )
    assert (result.joined, result.parked, result.pending) == (1, 1, 0)
    assert result.rows == result.stored + result.duplicate + result.conflict + result.rejected
    assert rows_of(result.duplicate_rows) == [3, 4]
    assert rows_of(result.conflict_rows) == [5]
    assert rows_of(result.parked_rows) == [7]
    assert [(errors.reason, errors.column, errors.message, rows_of(errors.rows)) for errors in result.errors] == [
        (error_reason_pb2.ERROR_REASON_WRONG_TYPE, "dep_delay", "no number", [1]),
        (error_reason_pb2.ERROR_REASON_NUL_IN_TEXT, "note", "NUL", [1, 2]),
    ]


def test_a_pending_label_is_told() -> None:
    result = result_of(1, np.array([Verdict.PENDING, Verdict.STORED], dtype=np.uint8), Rejections(2))
    assert (result.stored, result.pending, rows_of(result.pending_rows)) == (2, 1, [0])


def test_an_answer_stays_small_however_many_faults_are_scattered_over_the_rows() -> None:
    count = 100_000
    rejections = Rejections(count)
    scattered = np.arange(count) % 2 == 0
    for column in range(60):
        rejections.add("WRONG_TYPE", f"c{column}", scattered, "m" * 500)
    rejections.add("NUL_IN_TEXT", "note", np.arange(count) % 4 == 1, "NUL")
    verdicts = np.where(rejections.mask(), Verdict.REJECTED, Verdict.STORED).astype(np.uint8)
    result = result_of(1, verdicts, rejections)
    assert result.ByteSize() < 1024 * 1024
    assert rows_of(result.errors[0].rows) == list(range(0, count, 2))
    assert not rows_of(result.errors[1].rows)
    assert len(result.errors) == 61
    # A row is told under one of its faults at least.
    told = {row for errors in result.errors for row in rows_of(errors.rows)}
    assert len(told) == result.rejected == 75_000


def test_below_that_each_fault_of_a_row_is_told() -> None:
    count = MOST_RUNS_REPEATED
    rejections = Rejections(count)
    for column in ("a", "b"):
        rejections.add("WRONG_TYPE", column, np.arange(count) % 2 == 0, "m")
    result = result_of(1, np.zeros(count, dtype=np.uint8), rejections)
    assert rows_of(result.errors[0].rows) == rows_of(result.errors[1].rows) == list(range(0, count, 2))


def test_a_batch_without_rows_that_was_refused_has_its_reason() -> None:
    rejections = Rejections(0)
    rejections.note("UNDECODABLE", "3 lengths where 4 are needed")
    result = result_of(3, np.empty(0, dtype=np.uint8), rejections)
    assert (result.rows, result.rejected) == (0, 0)
    assert [errors.reason for errors in result.errors] == [error_reason_pb2.ERROR_REASON_UNDECODABLE]
    assert not is_plain(result)


@pytest.mark.parametrize(
    ("verdicts", "plain"),
    [([], True), ([0, 0], True), ([0, 1], False), ([2], False), ([3], False), ([4], False), ([5], False), ([6], False)],
)
def test_only_rows_that_are_stored_and_nothing_else_need_no_words(verdicts: list[int], plain: bool) -> None:
    result = result_of(1, np.array(verdicts, dtype=np.uint8), Rejections(len(verdicts)))
    assert is_plain(result) is plain


def test_every_reason_of_a_row_is_in_the_contract() -> None:
    named = {name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.keys()}  # noqa: SIM118
    for number in range(40, 67):
        reason = error_reason_pb2.ErrorReason.Name(number).removeprefix("ERROR_REASON_")
        rejections = Rejections(1)
        rejections.add_all(reason, "", "m")
        (errors,) = result_of(1, np.array([3], dtype=np.uint8), rejections).errors
        assert errors.reason == number
        assert reason in named
