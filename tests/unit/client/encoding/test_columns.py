"""Any value a user may log comes out of the wire as it went in, or is named."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.encoding import wire
from headrace.encoding.columns import MixedColumn, UnencodableRows, add_column
from headrace.testing.batch_rows import rows_of_batch
from headrace.v1 import batch_pb2


def through_the_wire(values: Sequence[object]) -> list[object]:
    """Write a column, read it with the stubs; None where the row has no value."""
    batch = wire.Batch()
    batch.columns.row_count = len(values)
    add_column(batch.columns.columns, "c", values)
    rows = rows_of_batch(batch_pb2.Batch.FromString(batch.SerializeToString()))
    return [row.get("c") for row in rows]


texts = st.text(st.characters(blacklist_categories=["Cs"]))
times = st.datetimes(timezones=st.just(UTC))


@pytest.mark.parametrize(
    "values",
    [
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False),
        texts,
        times,
        st.lists(st.floats(width=32, allow_nan=False), min_size=3, max_size=3),
        st.lists(texts),
        st.dictionaries(texts, st.integers() | texts | st.none(), min_size=1),
        st.binary(),
    ],
    ids=["bool", "int", "float", "text", "time", "vector", "texts", "json", "bytes"],
)
def test_every_kind_of_value_comes_back_with_nulls_where_they_were(values: st.SearchStrategy[object]) -> None:
    @given(st.lists(values | st.none(), min_size=1, max_size=40))
    def check(column: list[object]) -> None:
        assert through_the_wire(column) == column

    check()


def test_integers_and_floats_make_a_float_column() -> None:
    assert through_the_wire([1, 2.5, None]) == [1.0, 2.5, None]


def test_nan_and_infinities_are_values() -> None:
    assert str(through_the_wire([float("nan"), float("inf")])) == "[nan, inf]"


def test_a_column_without_any_value_is_left_out() -> None:
    batch = wire.Batch()
    add_column(batch.columns.columns, "c", [None, None])
    assert len(batch.columns.columns) == 0


class Colour(enum.Enum):
    RED = "red"


NAMED = uuid.UUID("12345678-1234-5678-1234-567812345678")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(1.5), 1.5),
        (np.float32(1.5), 1.5),
        (np.int64(7), 7),
        (np.uint8(7), 7),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.array([1.0, 2.0]), [1.0, 2.0]),
        (np.datetime64("2013-01-01T05:00"), datetime(2013, 1, 1, 5, tzinfo=UTC)),
        (pd.Timestamp("2013-01-01 05:00"), datetime(2013, 1, 1, 5, tzinfo=UTC)),
        (pd.NaT, None),
        (pd.NA, None),
        (Decimal("1.5"), 1.5),
        (NAMED, str(NAMED)),
        (Colour.RED, "red"),
        (date(2013, 1, 1), datetime(2013, 1, 1, tzinfo=UTC)),
        (datetime(2013, 1, 1), datetime(2013, 1, 1, tzinfo=UTC)),  # noqa: DTZ001 -- naive is UTC
        (datetime(2013, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), datetime(2013, 1, 1, tzinfo=UTC)),
        ((1, 2), [1.0, 2.0]),
        ([], []),
        ([[1, 2], [3]], [[1, 2], [3]]),
        ({"at": datetime(2013, 1, 1, tzinfo=UTC), "n": np.int64(1)}, {"at": "2013-01-01T00:00:00+00:00", "n": 1}),
    ],
)
def test_values_of_other_libraries_are_understood(value: object, expected: object) -> None:
    assert through_the_wire([value]) == [expected]
    assert through_the_wire([value, None]) == [expected, None]


@pytest.mark.parametrize(
    "values",
    [[1, "x"], [True, 1], [True, 1.5], ["x", [1.0]], [[1.0], [1.0, 2.0]], [{}, 1], [["x"], [1.0]]],
)
def test_values_of_several_kinds_are_found(values: list[object]) -> None:
    with pytest.raises(MixedColumn):
        through_the_wire(values)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (1, 2**63),
        ("x", "\ud800"),
        ({"a": 1}, {"a": float("nan")}),
        ({"a": 1}, {"a": object()}),
        ([1.0, 2.0], [1.0, "x"]),
        ([1.0, 2.0], [1.0, None]),
        (["x"], ["x", 1]),
    ],
)
def test_a_value_that_cannot_be_written_is_named_by_its_row(good: object, bad: object) -> None:
    with pytest.raises(UnencodableRows) as caught:
        through_the_wire([good, None, bad, good, bad])
    assert set(caught.value.faults) == {2, 4}


def test_a_type_without_a_wire_form_is_named() -> None:
    with pytest.raises(UnencodableRows, match="c has values") as caught:
        through_the_wire([None, object()])
    assert "object" in caught.value.faults[1]
