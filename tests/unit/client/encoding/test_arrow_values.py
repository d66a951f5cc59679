"""Columns written by way of Arrow are the columns that Python's own loops write, or are left to them."""

import enum
import sys
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.encoding import arrow_values, wire
from headrace.encoding.columns import MixedColumn, UnencodableRows, add_column

arrow_values.load()

ZONES = [UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=-9, minutes=-30))]


class Colour(enum.StrEnum):
    """A text that is more than a text."""

    RED = "red"


def by_arrow(values: list[Any]) -> list[Any] | None:
    """The column, or None where it is left to Python."""
    columns = wire.ColumnBatch().columns
    return list(columns) if arrow_values.add_values(columns, "x", values) else None


def by_python(values: list[Any]) -> list[Any]:
    columns = wire.ColumnBatch().columns
    add_column(columns, "x", values)
    return list(columns)


SCALARS = [
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.datetimes(timezones=st.sampled_from(ZONES)),
]


@pytest.mark.parametrize("values", SCALARS, ids=["bools", "ints", "floats", "texts", "times"])
def test_columns_of_one_kind_are_the_same(values: st.SearchStrategy[Any]) -> None:
    @given(st.lists(values, min_size=1, max_size=40))
    def same(column: list[Any]) -> None:
        assert by_arrow(column) == by_python(column)

    same()


FOREIGN = [True, False, np.True_, np.float32(1), np.float64(0.5), np.int16(1), np.str_("a"), pd.NaT, pd.NA, Colour.RED]


@given(
    st.lists(
        st.none() | st.one_of(SCALARS) | st.integers() | st.dates() | st.binary() | st.sampled_from(FOREIGN),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_the_mixture_arrow_writes_the_same_or_nothing(column: list[Any]) -> None:
    written = by_arrow(column)
    if written is not None:
        assert written == by_python(column)


@pytest.mark.parametrize(
    "column",
    [
        [1.5, True],
        [True, 1],
        [1, "a"],
        [datetime(2026, 1, 1)],  # noqa: DTZ001 -- naive is the point
        [datetime(2026, 1, 1, tzinfo=UTC), None],
        [date(2026, 1, 1)],
        [Decimal("1.5")],
        [uuid.UUID(int=1)],
        [[1.0, 2.0]],
        [{"a": 1}],
        [b"bytes"],
        [2**63],
        [1.5, 2**53 + 1],
        ["\ud800"],
    ],
    ids=repr,
)
def test_what_arrow_would_bend_or_refuse_is_left_to_python(column: list[Any]) -> None:
    assert by_arrow(column) is None


def test_texts_of_an_enum_are_its_values() -> None:
    assert by_arrow([Colour.RED, "blue"]) == by_python([Colour.RED, "blue"])


@pytest.mark.parametrize("library", ["pyarrow", "pandas"])
def test_without_its_libraries_in_the_process_everything_is_left_to_python(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, library)
    assert by_arrow([1.5]) is None


def test_faults_are_named_as_without_arrow() -> None:
    assert by_arrow([1, 2**70]) is None
    with pytest.raises(UnencodableRows):
        by_python([1, 2**70])
    with pytest.raises(MixedColumn):
        by_python([1.5, True])
