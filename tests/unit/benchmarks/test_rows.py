from uuid import UUID

import pytest

from benchmarks.rows import FLIGHTS, THIRTEEN, Shape, wide


@pytest.mark.parametrize("shape", [THIRTEEN, FLIGHTS, wide(5)])
def test_rows_have_exactly_the_columns_their_shape_says(shape: Shape) -> None:
    assert all(set(row) == set(shape.columns) for row in shape.rows(100))


def test_the_row_of_the_design_has_thirteen_columns() -> None:
    assert len(THIRTEEN.columns) == 13


def test_flights_have_their_nineteen_columns_in_order_of_time_and_nulls_among_them() -> None:
    assert len(FLIGHTS.types) == 19
    flights = FLIGHTS.rows(1_000)
    assert [row["event_time"] for row in flights] == sorted(row["event_time"] for row in flights)
    assert any(row["dep_time"] is None for row in flights)
    assert all(row["event_time"].tzinfo is not None for row in flights)


def test_an_id_carries_the_millisecond_of_its_event() -> None:
    for row in THIRTEEN.rows(10):
        assert UUID(row["event_id"]).int >> 80 == int(row["event_time"].timestamp() * 1000)
