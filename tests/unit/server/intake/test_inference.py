"""Columns guessed from values."""

from typing import Any

import pyarrow as pa
import pytest

from headrace_server.decoding.decode import decode
from headrace_server.decoding.decoded import Cells, JsonText
from headrace_server.decoding.loose_cells import pack
from headrace_server.intake.inference import infer_columns
from headrace_server.models.column_types import TIMESTAMP, ValueType
from headrace_server.models.definition import ColumnDefinition
from headrace_server.models.schema import ColumnKind
from support.wire_forms import FORMS


def inferred(cells: Cells) -> tuple[ValueType, int] | None:
    columns = infer_columns({"x": cells}, ColumnKind.FEATURE)
    assert all((column.name, column.kind) == ("x", ColumnKind.FEATURE) for column in columns)
    return (columns[0].type, columns[0].dimension) if columns else None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([None, True], (ValueType.BOOL, 0)),
        ([1, None], (ValueType.FLOAT64, 0)),
        ([0.5, 1], (ValueType.FLOAT64, 0)),
        ([2**63, 1], (ValueType.FLOAT64, 0)),
        ([2**53 + 1, 0.5], (ValueType.FLOAT64, 0)),
        (["a"], (ValueType.STRING, 0)),
        ([[0.5, 1.0], None, [1, 2]], (ValueType.VECTOR, 2)),
        ([[1, 2]], (ValueType.VECTOR, 2)),
        ([[0.5], [0.5, 1.0]], (ValueType.JSON, 0)),
        ([["a"], []], (ValueType.STRING_LIST, 0)),
        ([[]], (ValueType.JSON, 0)),
        ([[True]], (ValueType.JSON, 0)),
        ([{"a": 1}], (ValueType.JSON, 0)),
        ([1, "a"], (ValueType.JSON, 0)),
        ([1, True], (ValueType.JSON, 0)),
        ([None, None], None),
        ([], None),
    ],
)
def test_values_without_a_type(values: list[Any], expected: tuple[ValueType, int] | None) -> None:
    assert inferred(pack(values)) == expected
    assert inferred(Cells([{"a": 1}, *values])) == (ValueType.JSON, 0)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (Cells(pa.array([1], TIMESTAMP)), ValueType.TIMESTAMP),
        (Cells(pa.array(["{}"]), is_json=True), ValueType.JSON),
        (Cells(pa.array([b"\xff"], pa.binary())), ValueType.STRING),
        (Cells(pa.array([[b"\xff"]], pa.list_(pa.binary()))), ValueType.STRING_LIST),
        (Cells([JsonText("{}"), 5]), ValueType.JSON),
    ],
)
def test_typed_values(cells: Cells, expected: ValueType) -> None:
    assert inferred(cells) == (expected, 0)


def test_system_columns_are_none_of_a_models_own() -> None:
    names = ("event_id", "event_time", "latency_ms", "tags", "metadata", "observed_time")
    assert infer_columns({name: Cells(pa.array([1.0])) for name in names}, ColumnKind.FEATURE) == []


@pytest.mark.parametrize("form", FORMS)
def test_the_three_forms_give_the_same_columns(form: str) -> None:
    rows: dict[str, tuple[str, list[Any]]] = {
        "event_id": ("string", ["a", "b"]),
        "delay": ("float64", [0.5, None]),
        "count": ("int64", [None, 3]),
        "carrier": ("category", ["UA", "AA"]),
        "late": ("bool", [True, None]),
        "embedding": ("vector", [[0.5, 1.5], [0.0, 2.0]]),
        "stops": ("string_list", [["a"], None]),
        "raw": ("json", [{"a": 1}, None]),
        "void": ("float64", [None, None]),
    }
    columns = infer_columns(decode(FORMS[form](rows)).columns, ColumnKind.FEATURE)
    assert sorted(columns, key=lambda column: list(rows).index(column.name)) == [  # a map has no order
        ColumnDefinition("delay", ColumnKind.FEATURE, ValueType.FLOAT64),
        ColumnDefinition("count", ColumnKind.FEATURE, ValueType.FLOAT64),
        ColumnDefinition("carrier", ColumnKind.FEATURE, ValueType.STRING),
        ColumnDefinition("late", ColumnKind.FEATURE, ValueType.BOOL),
        ColumnDefinition("embedding", ColumnKind.FEATURE, ValueType.VECTOR, 2),
        ColumnDefinition("stops", ColumnKind.FEATURE, ValueType.STRING_LIST),
        ColumnDefinition("raw", ColumnKind.FEATURE, ValueType.JSON),
    ]
