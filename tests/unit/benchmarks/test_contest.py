import pytest

from benchmarks.contest import Results, Supply, Turn
from benchmarks.cpu import Cpu
from benchmarks.rows import THIRTEEN


def results() -> Results:
    found = Results()
    found.turns["copy"] = [Turn(1_000, 0.002, Cpu(0.0001, 0.0, 0.002)), Turn(1_000, 0.004, Cpu(0.0001, 0.0, 0.002))]
    found.turns["ours"] = [Turn(2_000, 0.008, Cpu(0.002, 0.004, 0.004)), Turn(2_000, 0.008, Cpu(0.006, 0.004, 0.004))]
    return found


def test_cost_is_microseconds_a_row() -> None:
    assert results().costs("ours") == pytest.approx([4.0, 4.0])
    assert results().rate("ours") == pytest.approx(250_000)


def test_speed_is_compared_turn_by_turn_whatever_the_number_of_rows() -> None:
    ratio = results().ratio("ours", to="copy")
    assert (ratio.low, ratio.median, ratio.high) == pytest.approx((0.5, 0.75, 1.0))


def test_processor_time_is_told_apart_by_who_spent_it() -> None:
    cpu = results().cpu("ours")
    assert (cpu.client, cpu.service, cpu.database) == pytest.approx((2.0, 2.0, 2.0))


def test_a_table_has_a_line_for_each_subject() -> None:
    grid = results().grid("Title", "copy")
    assert [line[0] for line in grid.lines] == ["copy", "ours"]
    assert all(len(line) == len(grid.columns) for line in grid.lines)


def test_all_subjects_of_a_round_get_the_same_rows() -> None:
    supply = Supply()
    many, few = supply.rows(THIRTEEN, 20), supply.rows(THIRTEEN, 5)
    assert few == many[:5]


def test_a_round_has_ids_that_no_round_before_had() -> None:
    first, second = Supply().rows(THIRTEEN, 50), Supply().rows(THIRTEEN, 50)
    assert not {row["event_id"] for row in first} & {row["event_id"] for row in second}
    assert [row["event_time"] for row in first] == [row["event_time"] for row in second]
