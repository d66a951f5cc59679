"""Casting: each pair of types, in bulk and cell by cell, with the same outcome for the same value."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from headrace_server.decoding.decoded import Cells, JsonText, UnixMicros
from headrace_server.decoding.loose_cells import pack
from headrace_server.models.column_types import TIMESTAMP, ValueType
from headrace_server.validation.casting import cast
from headrace_server.validation.casting_cells import EARLIEST_MICROS, LATEST_MICROS
from headrace_server.validation.rejections import Rejections
from headrace_server.validation.row_schema import Field

NEW_YEAR = 1_356_998_400_000_000  # 2013-01-01T00:00:00Z

OK = ""

# Type of the column, what is sent, what is stored (None where refused), the reason.
CASTS: list[tuple[ValueType, Any, Any, str]] = [
    (ValueType.BOOL, True, True, OK),
    (ValueType.BOOL, 1, None, "WRONG_TYPE"),
    (ValueType.BOOL, 1.0, None, "WRONG_TYPE"),
    (ValueType.BOOL, "true", None, "WRONG_TYPE"),
    (ValueType.INT64, 2**63 - 1, 2**63 - 1, OK),
    (ValueType.INT64, -(2**63), -(2**63), OK),
    (ValueType.INT64, 3.0, 3, OK),
    (ValueType.INT64, -0.0, 0, OK),
    (ValueType.INT64, -(2.0**63), -(2**63), OK),
    (ValueType.INT64, 2.0**63, None, "VALUE_OUT_OF_RANGE"),
    (ValueType.INT64, 1e30, None, "VALUE_OUT_OF_RANGE"),
    (ValueType.INT64, 2**63, None, "VALUE_OUT_OF_RANGE"),
    (ValueType.INT64, 2**64 - 1, None, "VALUE_OUT_OF_RANGE"),
    (ValueType.INT64, math.inf, None, "VALUE_OUT_OF_RANGE"),
    (ValueType.INT64, -math.inf, None, "VALUE_OUT_OF_RANGE"),
    (ValueType.INT64, math.nan, None, "WRONG_TYPE"),
    (ValueType.INT64, 0.5, None, "WRONG_TYPE"),
    (ValueType.INT64, True, None, "WRONG_TYPE"),
    (ValueType.INT64, "7", None, "WRONG_TYPE"),
    (ValueType.INT64, UnixMicros(7), None, "WRONG_TYPE"),
    (ValueType.FLOAT64, 0.5, 0.5, OK),
    (ValueType.FLOAT64, 7, 7.0, OK),
    (ValueType.FLOAT64, 2**53 + 1, 2.0**53, OK),
    (ValueType.FLOAT64, 2**64 - 1, 2.0**64, OK),
    (ValueType.FLOAT64, math.inf, math.inf, OK),
    (ValueType.FLOAT64, "abc", None, "WRONG_TYPE"),
    (ValueType.FLOAT64, "0.5", None, "WRONG_TYPE"),
    (ValueType.FLOAT64, True, None, "WRONG_TYPE"),
    (ValueType.FLOAT64, UnixMicros(7), None, "WRONG_TYPE"),
    (ValueType.FLOAT64, [0.5], None, "WRONG_TYPE"),
    (ValueType.STRING, "", "", OK),
    (ValueType.STRING, "naïve ✈", "naïve ✈", OK),
    (ValueType.STRING, "a" * 65_536, "a" * 65_536, OK),
    (ValueType.STRING, "a" * 65_537, None, "TEXT_TOO_LONG"),
    (ValueType.STRING, "é" * 32_769, None, "TEXT_TOO_LONG"),
    (ValueType.STRING, "a\0b", None, "NUL_IN_TEXT"),
    (ValueType.STRING, b"\xff", None, "INVALID_UTF8"),
    (ValueType.STRING, 5, None, "WRONG_TYPE"),
    (ValueType.STRING, JsonText("{}"), None, "WRONG_TYPE"),
    (ValueType.STRING, UnixMicros(7), None, "WRONG_TYPE"),
    (ValueType.CATEGORY, "UA", "UA", OK),
    (ValueType.CATEGORY, "U\0", None, "NUL_IN_TEXT"),
    (ValueType.TIMESTAMP, UnixMicros(NEW_YEAR + 1), NEW_YEAR + 1, OK),
    (ValueType.TIMESTAMP, 1_356_998_400, NEW_YEAR, OK),
    (ValueType.TIMESTAMP, 1_356_998_400.5, NEW_YEAR + 500_000, OK),
    (ValueType.TIMESTAMP, -1, -1_000_000, OK),
    (ValueType.TIMESTAMP, "2013-01-01T00:00:00Z", NEW_YEAR, OK),
    (ValueType.TIMESTAMP, "2013-01-01T00:00:00.25Z", NEW_YEAR + 250_000, OK),
    (ValueType.TIMESTAMP, "2013-01-01T01:30:00+01:30", NEW_YEAR, OK),
    (ValueType.TIMESTAMP, "2013-01-01 00:00:00Z", NEW_YEAR, OK),
    (ValueType.TIMESTAMP, "2013-01-01t00:00:00z", NEW_YEAR, OK),
    (ValueType.TIMESTAMP, "2013-01-01T00:00:00", NEW_YEAR, OK),
    (ValueType.TIMESTAMP, "2013-01-01", NEW_YEAR, OK),
    (ValueType.TIMESTAMP, "2013-01-01T00:00:00.0000014Z", NEW_YEAR + 1, OK),
    (ValueType.TIMESTAMP, "2013-01-01T00:00:00.000001500Z", NEW_YEAR + 2, OK),
    (ValueType.TIMESTAMP, "0001-01-01T00:00:00Z", EARLIEST_MICROS, OK),
    (ValueType.TIMESTAMP, "9999-12-31T23:59:59.999999Z", LATEST_MICROS, OK),
    (ValueType.TIMESTAMP, "9999-12-31T23:59:59.9999995Z", None, "VALUE_OUT_OF_RANGE"),
    (ValueType.TIMESTAMP, "0001-01-01T00:00:00+01:00", None, "VALUE_OUT_OF_RANGE"),
    (ValueType.TIMESTAMP, UnixMicros(EARLIEST_MICROS - 1), None, "VALUE_OUT_OF_RANGE"),
    (ValueType.TIMESTAMP, UnixMicros(LATEST_MICROS + 1), None, "VALUE_OUT_OF_RANGE"),
    (ValueType.TIMESTAMP, UnixMicros(-(2**63)), None, "VALUE_OUT_OF_RANGE"),
    (ValueType.TIMESTAMP, UnixMicros(2**63 - 1), None, "VALUE_OUT_OF_RANGE"),
    (ValueType.TIMESTAMP, 2**62, None, "VALUE_OUT_OF_RANGE"),
    (ValueType.TIMESTAMP, 1e300, None, "VALUE_OUT_OF_RANGE"),
    (ValueType.TIMESTAMP, math.inf, None, "VALUE_OUT_OF_RANGE"),
    (ValueType.TIMESTAMP, math.nan, None, "WRONG_TYPE"),
    (ValueType.TIMESTAMP, "soon", None, "WRONG_TYPE"),
    (ValueType.TIMESTAMP, "2013-02-30T00:00:00Z", None, "WRONG_TYPE"),
    (ValueType.TIMESTAMP, True, None, "WRONG_TYPE"),
    (ValueType.TIMESTAMP, JsonText('"2013-01-01T00:00:00Z"'), None, "WRONG_TYPE"),
    (ValueType.VECTOR, [0.5, 1.0, -2.0], [0.5, 1.0, -2.0], OK),
    (ValueType.VECTOR, [1, 2, 3], [1.0, 2.0, 3.0], OK),
    (ValueType.VECTOR, [0.5, 1.0], None, "VECTOR_DIMENSION"),
    (ValueType.VECTOR, [], None, "VECTOR_DIMENSION"),
    (ValueType.VECTOR, [0.5, None, 1.0], None, "WRONG_TYPE"),
    (ValueType.VECTOR, [True, False, True], None, "WRONG_TYPE"),
    (ValueType.VECTOR, ["a", "b", "c"], None, "WRONG_TYPE"),
    (ValueType.VECTOR, [0.5, 1e39, 0.0], None, "VALUE_OUT_OF_RANGE"),
    (ValueType.VECTOR, [0.5, math.inf, 0.0], [0.5, math.inf, 0.0], OK),
    (ValueType.VECTOR, 0.5, None, "WRONG_TYPE"),
    (ValueType.STRING_LIST, ["a", ""], ["a", ""], OK),
    (ValueType.STRING_LIST, [], [], OK),
    (ValueType.STRING_LIST, ["a", "b\0"], None, "NUL_IN_TEXT"),
    (ValueType.STRING_LIST, ["a", "b" * 65_537], None, "TEXT_TOO_LONG"),
    (ValueType.STRING_LIST, ["a", None], None, "WRONG_TYPE"),
    (ValueType.STRING_LIST, [None], None, "WRONG_TYPE"),
    (ValueType.STRING_LIST, [1], None, "WRONG_TYPE"),
    (ValueType.STRING_LIST, "a", None, "WRONG_TYPE"),
]


def field(value_type: ValueType) -> Field:
    return Field("x", value_type, dimension=3 if value_type is ValueType.VECTOR else 0)


def casted(cells: Cells, of: Field) -> tuple[list[Any], dict[str, list[int]], list[str]]:
    rejections = Rejections(len(cells.values))
    array = cast(cells, of, "x", rejections)
    array.validate(full=True)
    assert array.type == of.arrow
    refused = {group.reason: group.rows.nonzero()[0].tolist() for group in rejections.groups}
    return Cells(array).python_values(), refused, [group.message for group in rejections.groups]


def typed(value: Any) -> Cells:
    """A column of this value, null, and this value again, as a decoder of one type would give it."""
    cells = [value, None, value]
    if isinstance(value, UnixMicros):
        return Cells(pa.array(cells, TIMESTAMP))
    if isinstance(value, JsonText):
        return Cells(pa.array(cells, pa.string()), is_json=True)
    return Cells(pa.array(cells, pa.binary())) if isinstance(value, bytes) else pack(cells)


@pytest.mark.parametrize(("value_type", "sent", "stored", "reason"), CASTS, ids=lambda each: str(each)[:40])
@pytest.mark.parametrize("whole", [True, False], ids=["in bulk", "by cells"])
def test_a_value_has_one_outcome_however_its_column_came(
    value_type: ValueType, sent: Any, stored: Any, reason: str, whole: bool
) -> None:
    cells = typed(sent) if whole else Cells([sent, None, sent])
    values, refused, messages = casted(cells, field(value_type))
    assert values == [stored, None, stored]
    assert refused == ({reason: [0, 2]} if reason else {})
    assert all("x" in message and len(message) < 300 for message in messages)


@pytest.mark.parametrize("whole", [True, False], ids=["in bulk", "by cells"])
def test_nan_is_a_float(whole: bool) -> None:
    cells = typed(math.nan) if whole else Cells([math.nan, None, math.nan])
    values, refused, _ = casted(cells, field(ValueType.FLOAT64))
    assert math.isnan(values[0])
    assert values[1] is None
    assert not refused


@pytest.mark.parametrize(
    ("value_type", "good", "bad"),
    [
        (ValueType.STRING, "a", b"\xff"),
        (ValueType.TIMESTAMP, "2013-01-01T00:00:00Z", b"\xff"),
        (ValueType.STRING_LIST, ["a"], [b"\xff"]),
    ],
)
def test_a_text_that_is_no_utf8_costs_no_other_cell(value_type: ValueType, good: Any, bad: Any) -> None:
    kind = pa.list_(pa.binary()) if isinstance(bad, list) else pa.binary()
    values, refused, _ = casted(Cells(pa.array([good, bad, None, good], kind)), field(value_type))
    assert values[0] is not None
    assert values == [values[0], None, None, values[0]]
    assert refused == {"INVALID_UTF8": [1]}


def test_texts_that_are_no_utf8_are_no_numbers_either() -> None:
    lists = Cells(pa.array([["a"], [b"\xff"]], pa.list_(pa.binary())))
    assert casted(lists, field(ValueType.VECTOR))[1] == {"WRONG_TYPE": [0, 1]}
    assert casted(lists, field(ValueType.FLOAT64))[1] == {"WRONG_TYPE": [0, 1]}
    texts = Cells(pa.array(["a", b"\xff"], pa.binary()))
    assert casted(texts, field(ValueType.INT64))[1] == {"WRONG_TYPE": [0], "INVALID_UTF8": [1]}


def test_each_cell_of_a_mixed_column_has_its_own_verdict() -> None:
    cells = Cells([1, "a", 2**63, None, 2.5, 7])
    values, refused, messages = casted(cells, field(ValueType.INT64))
    assert values == [1, None, None, None, None, 7]
    assert refused == {"WRONG_TYPE": [1, 4], "VALUE_OUT_OF_RANGE": [2]}
    assert messages == ["x: 'a' is no INT64", "x: 9223372036854775808 does not fit 64 bits"]


def test_a_message_shows_the_first_bad_value_of_a_column() -> None:
    _, _, messages = casted(Cells(pa.array([1.0, 1e30, 0.5, 2e30])), field(ValueType.INT64))
    assert messages == ["x is INT64; 0.5 is no whole number", "x is INT64; 1e+30 does not fit 64 bits"]
    _, _, messages = casted(Cells(pa.array(["a"])), field(ValueType.FLOAT64))
    assert messages == ["x is FLOAT64, the batch sends string"]
    _, _, messages = casted(Cells(pa.array([None, [0.5]])), field(ValueType.VECTOR))
    assert messages == ["x has dimension 3; the vector has 1 numbers"]


def test_values_under_a_null_are_nobodys_fault() -> None:
    """What stands in memory where a row has no value: NUL, over-long, out of range."""
    nothing = [
        pa.py_buffer(b"\x02"),
        pa.py_buffer(np.array([0, 70_000, 70_001], np.int32)),
        pa.py_buffer(b"\0" * 70_001),
    ]
    nothing[2] = pa.py_buffer(b"\0" * 70_000 + b"a")
    values, refused, _ = casted(Cells(pa.Array.from_buffers(pa.string(), 2, nothing)), field(ValueType.STRING))
    assert (values, refused) == ([None, "a"], {})
    times = [pa.py_buffer(b"\x02"), pa.py_buffer(np.array([-(2**63), 5], np.int64))]
    values, refused, _ = casted(Cells(pa.Array.from_buffers(TIMESTAMP, 2, times)), field(ValueType.TIMESTAMP))
    assert (values, refused) == ([None, 5], {})
    floats = [pa.py_buffer(b"\x02"), pa.py_buffer(np.array([1e30, 5]))]
    values, refused, _ = casted(Cells(pa.Array.from_buffers(pa.float64(), 2, floats)), field(ValueType.INT64))
    assert (values, refused) == ([None, 5], {})


def test_a_slice_is_checked_where_it_lies() -> None:
    whole = pa.array(["a\0", "b" * 70_000, "c", "d", "e\0"])
    assert casted(Cells(whole.slice(2, 2)), field(ValueType.STRING))[:2] == (["c", "d"], {})
    assert casted(Cells(whole.slice(3, 2)), field(ValueType.STRING))[1] == {"NUL_IN_TEXT": [1]}
    times = pa.array([-(2**63), 5, 6], pa.int64()).cast(pa.timestamp("us")).cast(TIMESTAMP)
    assert casted(Cells(times.slice(1, 2)), field(ValueType.TIMESTAMP))[:2] == ([5, 6], {})


def test_a_null_column_is_null_in_every_type() -> None:
    for value_type in ValueType:
        assert casted(Cells(pa.nulls(2)), field(value_type)) == ([None, None], {}, [])


@pytest.mark.parametrize("value_type", list(ValueType))
def test_no_rows_are_no_trouble_in_any_type(value_type: ValueType) -> None:
    for values in (pa.array([], pa.string()), pa.array([], pa.float64()), pa.array([], TIMESTAMP), []):
        assert casted(Cells(values), field(value_type)) == ([], {}, [])


def test_an_event_time_that_no_table_holds_has_the_reason_of_event_times() -> None:
    event_time = Field("event_time", ValueType.TIMESTAMP)
    for cells in (Cells(pa.array([2**62], pa.int64())), Cells([UnixMicros(-(2**63))])):
        assert casted(cells, event_time)[1] == {"EVENT_TIME_OUT_OF_RANGE": [0]}
