import pytest

from benchmarks.figures import Line, Spread, percentile, ratios, rounded


def test_a_spread_is_the_median_with_its_ends() -> None:
    assert Spread.of([3.0, 1.0, 10.0]) == Spread(3.0, 1.0, 10.0)


def test_ratios_are_taken_within_a_round() -> None:
    # Both were twice as slow in the second round: what slows both down does not show.
    assert ratios(fast=[1.0, 2.0], slow=[3.0, 6.0]) == Spread(3.0, 3.0, 3.0)


def test_the_ratio_of_medians_would_say_something_else() -> None:
    assert ratios(fast=[1.0, 4.0, 1.0], slow=[2.0, 2.0, 2.0]).median == 2.0
    assert ratios(fast=[1.0, 4.0, 1.0], slow=[2.0, 2.0, 2.0]).low == 0.5


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.5, 50), (0.501, 51), (0.99, 99), (0.999, 100), (1.0, 100)])
def test_a_percentile_is_the_nearest_rank(share: float, value: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == value


def test_a_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 0.999) == 7.0


def test_a_line_through_points_on_a_line() -> None:
    line = Line.through([(5, 2.0), (13, 3.6), (200, 41.0)])
    assert line.intercept == pytest.approx(1.0)
    assert line.slope == pytest.approx(0.2)
    assert line.worst == pytest.approx(0.0)


def test_the_worst_distance_is_a_share_of_the_line() -> None:
    line = Line.through([(0, 10.0), (1, 10.0), (2, 13.0), (3, 10.0)])
    at_two = line.intercept + line.slope * 2
    assert line.worst == pytest.approx((13.0 - at_two) / at_two)


@pytest.mark.parametrize(("value", "text"), [(0.12345, "0.123"), (12.345, "12.3"), (123456.7, "123,457")])
def test_numbers_are_shown_with_the_digits_that_mean_something(value: float, text: str) -> None:
    assert rounded(value) == text
