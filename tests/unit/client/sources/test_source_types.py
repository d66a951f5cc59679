"""Every kind of source and every type a column can have: what is stored, and what Schema.infer makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import headrace
from headrace import InvalidArgumentError, Schema, ValueType
from headrace.testing import FakeService

T0 = datetime(2013, 1, 1, tzinfo=UTC)
IDS = ["a", "b"]

Stored = list[object]
"""Values of the column x in both rows; None: null."""


class StreamOnly:
    """What a DuckDB relation is to us: an Arrow stream and nothing else."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


class ArrayOnly:
    """An Arrow array of structs: one batch."""

    def __init__(self, table: pa.Table) -> None:
        self._batch = table.to_batches()[0]

    def __arrow_c_array__(self, requested_schema: object = None) -> object:
        return self._batch.__arrow_c_array__(requested_schema)


def arrow(values: Any, kind: Any = None) -> pa.Table:
    return pa.table({"event_id": IDS, "x": pa.array(values, kind)})


def pandas(values: Any) -> pd.DataFrame:
    return pd.DataFrame({"event_id": IDS, "x": values})


def polars(values: Any, kind: Any = None) -> pl.DataFrame:
    return pl.DataFrame({"event_id": IDS, "x": pl.Series(values, dtype=kind)})


def columns(values: Any) -> Mapping[str, Any]:
    return {"event_id": np.array(IDS), "x": values}


STORED: dict[str, tuple[Any, ValueType, Stored]] = {
    "arrow stream": (StreamOnly(arrow([1, None])), ValueType.INT64, [1, None]),
    "arrow array": (ArrayOnly(arrow([1, None])), ValueType.INT64, [1, None]),
    "arrow batch": (arrow([1, None]).to_batches()[0], ValueType.INT64, [1, None]),
    "dictionary": (
        arrow(pa.array(["v", None], pa.large_string()).dictionary_encode()),
        ValueType.CATEGORY,
        ["v", None],
    ),
    "dictionary with a null in it": (
        arrow(pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["v", None]))),
        ValueType.CATEGORY,
        ["v", None],
    ),
    "dictionary of times": (
        arrow(pa.array([T0, None], pa.timestamp("us", "UTC")).dictionary_encode()),
        ValueType.TIMESTAMP,
        [T0, None],
    ),
    "string view": (
        arrow(["a text that is long", None], pa.string_view()),
        ValueType.STRING,
        ["a text that is long", None],
    ),
    "large string": (arrow(["v", None], pa.large_string()), ValueType.STRING, ["v", None]),
    "decimal": (arrow([Decimal("1.5"), None]), ValueType.FLOAT64, [1.5, None]),
    "wide decimal": (arrow([Decimal("1.5"), None], pa.decimal256(40, 2)), ValueType.FLOAT64, [1.5, None]),
    "half float": (arrow(np.array([1.5, 2.0], np.float16)), ValueType.FLOAT64, [1.5, 2.0]),
    "zoned times": (arrow([T0, None], pa.timestamp("ms", "Asia/Tokyo")), ValueType.TIMESTAMP, [T0, None]),
    "list view": (arrow([[1.0, 2.0], None], pa.list_view(pa.float64())), ValueType.VECTOR, [[1.0, 2.0], None]),
    "nested lists": (arrow([[[1, 2], [3]], None]), ValueType.JSON, [[[1, 2], [3]], None]),
    "structs": (arrow([{"k": 1}, None]), ValueType.JSON, [{"k": 1}, None]),
    "uuids": (arrow([b"0" * 16, None], pa.uuid()), ValueType.STRING, ["30303030-3030-3030-3030-303030303030", None]),
    "pandas zoned": (pandas(pd.Series([T0, None]).dt.tz_convert("Europe/Berlin")), ValueType.TIMESTAMP, [T0, None]),
    "pandas category": (pandas(pd.Categorical(["v", None])), ValueType.CATEGORY, ["v", None]),
    "pandas Int64": (pandas(pd.array([2**60, None], dtype="Int64")), ValueType.INT64, [2**60, None]),
    "pandas boolean": (pandas(pd.array([True, None], dtype="boolean")), ValueType.BOOL, [True, None]),
    "pandas string": (pandas(pd.array(["v", None], dtype="string[pyarrow]")), ValueType.STRING, ["v", None]),
    "pandas arrays": (pandas([np.array([1.0, 2.0]), None]), ValueType.VECTOR, [[1.0, 2.0], None]),
    "pandas decimals": (pandas([Decimal("1.5"), None]), ValueType.FLOAT64, [1.5, None]),
    "pandas sparse": (pandas(pd.arrays.SparseArray([1.0, 0.0])), ValueType.FLOAT64, [1.0, 0.0]),
    "polars category": (polars(["v", None], pl.Categorical), ValueType.CATEGORY, ["v", None]),
    "polars enum": (polars(["v", None], pl.Enum(["v"])), ValueType.CATEGORY, ["v", None]),
    "polars decimal": (polars([Decimal("1.50"), None]), ValueType.FLOAT64, [1.5, None]),
    "polars zoned": (polars([T0, None]), ValueType.TIMESTAMP, [T0, None]),
    "polars array": (polars([[1.0, 2.0], None], pl.Array(pl.Float64, 2)), ValueType.VECTOR, [[1.0, 2.0], None]),
    "bytes": (arrow([b"\0\xff", None]), ValueType.BYTES, [b"\0\xff", None]),
    "large bytes": (arrow([b"ab", None], pa.large_binary()), ValueType.BYTES, [b"ab", None]),
    "bytes of one width": (arrow([b"ab", None], pa.binary(2)), ValueType.BYTES, [b"ab", None]),
    "polars bytes": (polars([b"ab", None]), ValueType.BYTES, [b"ab", None]),
    "pandas bytes": (pandas([b"ab", None]), ValueType.BYTES, [b"ab", None]),
    "numpy floats": (columns(np.array([1.5, 2.5])), ValueType.FLOAT64, [1.5, 2.5]),
    "numpy nanoseconds": (columns(np.array([T0.date(), "NaT"], "datetime64[ns]")), ValueType.TIMESTAMP, [T0, None]),
    "numpy matrix": (columns(np.ones((2, 3), np.float32)), ValueType.VECTOR, [[1.0] * 3] * 2),
    "numpy masked": (columns(np.ma.array([1.5, 2.5], mask=[False, True])), ValueType.FLOAT64, [1.5, None]),
    "numpy structured": (
        np.array([("a", 1.5), ("b", 2.5)], dtype=[("event_id", "U1"), ("x", "f8")]),
        ValueType.FLOAT64,
        [1.5, 2.5],
    ),
    "polars series in a dict": (columns(pl.Series([1.5, None])), ValueType.FLOAT64, [1.5, None]),
    "arrow array in a dict": (columns(pa.array([1.5, None])), ValueType.FLOAT64, [1.5, None]),
}


@pytest.mark.parametrize("name", STORED)
def test_what_is_stored_and_inferred(service: FakeService, client: headrace.Client, name: str) -> None:
    source, value_type, stored = STORED[name]
    (column,) = Schema.infer(source, features=["x"]).columns
    assert column.type is value_type
    assert client.model("m").publish(source).stored == 2
    assert [row.get("x") for row in service.events("m")] == stored


NO_TYPE_YET = {
    "nulls": arrow(pa.nulls(2)),
    "polars nulls": polars([None, None]),
    "empty lists": arrow([[], None], pa.list_(pa.float64())),
}


@pytest.mark.parametrize("name", NO_TYPE_YET)
def test_a_column_that_no_value_tells_is_stored_and_must_be_named(client: headrace.Client, name: str) -> None:
    assert client.model("m").publish(NO_TYPE_YET[name]).stored == 2
    with pytest.raises(InvalidArgumentError, match="type of x"):
        Schema.infer(NO_TYPE_YET[name], features=["x"])


UNENCODABLE = {
    "time of day": arrow([time(1, 2), None]),
    "duration": arrow([timedelta(seconds=1), None]),
    "period": pandas([pd.Period("2013-01"), None]),
    "above 64 bits": arrow([2**63, None], pa.uint64()),
}


@pytest.mark.parametrize("name", UNENCODABLE)
def test_a_value_without_a_wire_form_is_its_row_s_matter(client: headrace.Client, name: str) -> None:
    result = client.model("m").publish(UNENCODABLE[name])
    assert [(error.reason, error.column, error.rows) for error in result.errors] == [("UNENCODABLE", "x", [0])]
    assert (result.stored, result.rejected) == (1, 1)


REFUSED = {
    "a type of polars alone": (polars([1, None], pl.Int128), "through Arrow"),
    "a plan, not data": (polars([1, None]).lazy(), "LazyFrame"),
    "a matrix without names": (np.zeros((2, 2)), "rows are dicts, not ndarray"),
    "a name twice in pandas": (pd.DataFrame([["a", 1, 2]], columns=["event_id", "x", "x"]), "called 'x'"),
    "a name twice in Arrow": (pa.table([["a"], [1], [2]], names=["event_id", "x", "x"]), "called 'x'"),
    "columns of two lengths": ({"event_id": IDS, "x": np.zeros(3)}, "different lengths"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_source_that_cannot_be_read_is_refused_by_name(
    service: FakeService, client: headrace.Client, name: str
) -> None:
    source, words = REFUSED[name]
    with pytest.raises(InvalidArgumentError, match=words):
        client.model("m").publish(source)
    assert service.events("m") == []


def test_rows_are_parted_whatever_their_texts_are_made_of(service: FakeService, client: headrace.Client) -> None:
    frame = pl.DataFrame({"event_id": ["a", "b", "c"], "x": [[1.0], [1.0, 2.0], [3.0]], "late": [True, None, False]})
    assert client.model("m").publish(frame, labels="late").stored == 3
    assert {row["event_id"] for row in service.labels("m")} == {"a", "c"}


def test_the_rows_before_a_producer_s_own_error_are_stored(service: FakeService, client: headrace.Client) -> None:
    schema = pa.schema([("event_id", pa.string())])

    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch([["a"]], schema=schema)
        raise RuntimeError("the query was cancelled")

    with pytest.raises(pa.ArrowInvalid, match="cancelled"):
        client.model("m").publish(pa.RecordBatchReader.from_batches(schema, batches()))
    client.flush(10)
    assert [row["event_id"] for row in service.events("m")] == ["a"]
