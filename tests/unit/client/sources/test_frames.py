"""DataFrames, Arrow data and files arrive as they are, nulls and all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

import headrace
from headrace import InvalidArgumentError
from headrace.encoding import wire
from headrace.encoding.arrow_columns import add_array
from headrace.encoding.table import EncodedBatch, Header, Limits, encode
from headrace.sources.frames import ArrowTable
from headrace.testing import FakeService
from headrace.testing.batch_rows import rows_of_batch
from headrace.v1 import batch_pb2

T0 = datetime(2013, 1, 1, tzinfo=UTC)


def through_the_wire(array: pa.Array) -> list[object]:
    """Write an array, read it with the stubs; None where the row has no value."""
    batch = wire.Batch()
    batch.columns.row_count = len(array)
    assert add_array(batch.columns.columns, "c", array)
    rows = rows_of_batch(batch_pb2.Batch.FromString(batch.SerializeToString()))
    return [row.get("c") for row in rows]


ARRAYS = [
    (pa.bool_(), [True, None, False]),
    (pa.int8(), [1, None, -3]),
    (pa.uint32(), [1, None, 2**32 - 1]),
    (pa.int64(), [2**62, None, -(2**63)]),
    (pa.float32(), [0.5, None, -1.0]),
    (pa.float64(), [0.1, None, float("inf")]),
    (pa.string(), ["a", None, "ü" * 100]),
    (pa.large_string(), ["a", None, ""]),
    (pa.string_view(), ["a", None, "a text that is longer than twelve bytes"]),
    (pa.timestamp("ns", "UTC"), [T0, None, T0]),
    (pa.timestamp("s", "Europe/Berlin"), [T0, None, T0]),
    (pa.list_(pa.float64()), [[0.5, 1.0], None, [2.0, 3.0]]),
    (pa.list_(pa.int32()), [[1, 2], None, [3, 4]]),
    (pa.list_(pa.float32(), 2), [[0.5, 1.0], None, [2.0, 3.0]]),
    (pa.list_(pa.string()), [["a", "b"], None, []]),
]


@pytest.mark.parametrize(("kind", "values"), ARRAYS, ids=lambda v: str(v) if isinstance(v, pa.DataType) else "")
@pytest.mark.parametrize("start", [0, 1])
def test_arrays_come_back_also_from_the_middle_of_another(kind: pa.DataType, values: list[Any], start: int) -> None:
    array = pa.array(values * 3, kind)[start:7]
    assert through_the_wire(array) == array.to_pylist()


def test_dictionaries_of_texts_are_categories() -> None:
    array = pa.array(["a", "b", None, "a"]).dictionary_encode()
    assert through_the_wire(array) == ["a", "b", None, "a"]


def test_dates_are_their_midnight() -> None:
    assert through_the_wire(pa.array([date(2013, 1, 1), None])) == [T0, None]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([Decimal("1.5"), None]), [1.5, None]),
        (pa.array([2**63 - 1, None], pa.uint64()), [2**63 - 1, None]),
        (pa.array([{"a": 1, "b": None}, None]), [{"a": 1, "b": None}, None]),
        (pa.array([[[1]], None]), [[[1]], None]),
        (pa.array([1, 1, None]).dictionary_encode(), [1, 1, None]),
    ],
)
def test_arrays_without_a_wire_form_go_as_python_values(array: pa.Array, expected: list[object]) -> None:
    table = ArrowTable(range(len(array)), (), None, pa.RecordBatch.from_arrays([array], ["c"]))
    header = Header(batch_pb2.RECORD_KIND_EVENTS, "m", "")
    (batch,) = encode(table, header, Limits(1_000, 100_000))
    assert isinstance(batch, EncodedBatch)
    assert [row.get("c") for row in rows_of_batch(batch_pb2.Batch.FromString(batch.body))] == expected


def test_vectors_of_several_lengths_are_parted() -> None:
    array = pa.array([[1.0], [1.0, 2.0], None, [3.0]])
    table = ArrowTable(range(4), (), None, pa.RecordBatch.from_arrays([array], ["c"]))
    header = Header(batch_pb2.RECORD_KIND_EVENTS, "m", "")
    batches = [b for b in encode(table, header, Limits(1_000, 100_000)) if isinstance(b, EncodedBatch)]
    assert [list(b.source_rows) for b in batches] == [[0, 2, 3], [1]]


@given(st.lists(st.none() | st.text(st.characters(blacklist_categories=["Cs"])), min_size=1), st.data())
def test_any_texts_from_any_slice(texts: list[str | None], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(texts) - 1))
    array = pa.array(texts, pa.string())[start:]
    assert through_the_wire(array) == array.to_pylist()


# --- publish ---------------------------------------------------------------------------------------------------------

FRAME = {
    "id": ["a", "b", "c"],
    "at": [T0, T0, None],
    "x": [1.5, None, 3.5],
    "n": [1, 2, 3],
    "carrier": ["AA", None, "Ü"],
    "late": [True, None, False],
}
EVENTS: list[Mapping[str, object]] = [
    {"event_id": "a", "event_time": T0, "x": 1.5, "n": 1, "carrier": "AA"},
    {"event_id": "b", "event_time": T0, "n": 2},
    {"event_id": "c", "x": 3.5, "n": 3, "carrier": "Ü"},
]
LABELS = [{"event_id": "a", "event_time": T0, "late": True}, {"event_id": "c", "late": False}]


def parquet(folder: Path) -> Path:
    pa.parquet.write_table(pa.table(FRAME), folder / "rows.parquet")
    return folder / "rows.parquet"


def csv(folder: Path) -> Path:
    pa.csv.write_csv(pa.table(FRAME), folder / "rows.csv")
    return folder / "rows.csv"


SOURCES = {
    "pandas": lambda _: pd.DataFrame(FRAME),
    "pandas_filtered": lambda _: pd.concat([pd.DataFrame(FRAME), pd.DataFrame(FRAME)]).iloc[:3],
    "polars": lambda _: pl.DataFrame(FRAME),
    "arrow": lambda _: pa.table(FRAME),
    "reader": lambda _: pa.table(FRAME).to_reader(),
    "parquet": parquet,
    "parquet_text": lambda folder: str(parquet(folder)),
    "csv": csv,
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("rows_a_batch", [2, 1_000])
def test_every_source_gives_the_same_rows(
    service: FakeService, client: headrace.Client, tmp_path: Path, name: str, rows_a_batch: int
) -> None:
    service.behaviour.suggested_batch_rows = rows_a_batch
    result = client.model("m").publish(SOURCES[name](tmp_path), event_id="id", event_time="at", labels=["late"])
    assert service.ledger.events("m") == EVENTS
    assert service.ledger.labels("m") == LABELS
    assert result.labels is not None
    assert (result.stored, result.labels.joined) == (3, 2)


def test_the_index_of_a_pandas_frame_is_no_data(service: FakeService, client: headrace.Client) -> None:
    frame = pd.DataFrame({"event_id": ["a"], "event_time": [T0]}, index=pd.Index([7], name="key"))
    client.model("m").publish(frame)
    assert service.ledger.events("m") == [{"event_id": "a", "event_time": T0}]


def test_nan_of_pandas_is_null_unless_it_is_kept(service: FakeService, client: headrace.Client) -> None:
    frame = pd.DataFrame({"event_id": ["a"], "event_time": [T0], "x": [np.nan]})
    client.model("null").publish(frame)
    client.model("keep").publish(frame, nan="keep")
    assert "x" not in service.ledger.events("null")[0]
    assert str(service.ledger.events("keep")[0]["x"]) == "nan"


def test_nan_elsewhere_is_a_value(service: FakeService, client: headrace.Client) -> None:
    client.model("m").publish(pl.DataFrame({"event_id": ["a"], "x": [float("nan")]}))
    assert str(service.ledger.events("m")[0]["x"]) == "nan"


def test_a_pandas_column_of_several_types_is_sent_row_by_row(service: FakeService, client: headrace.Client) -> None:
    frame = pd.DataFrame({"event_id": ["a", "b", "c"], "event_time": [T0] * 3, "x": [1.5, "far", np.nan]})
    assert client.model("m").publish(frame).stored == 3
    assert [row.get("x") for row in service.ledger.events("m")] == [1.5, None, "far"]


def test_dicts_in_a_pandas_column_keep_their_own_keys(service: FakeService, client: headrace.Client) -> None:
    frame = pd.DataFrame({"event_id": ["a", "b"], "event_time": [T0] * 2, "doc": [{"x": 1}, {"y": 2}]})
    client.model("m").publish(frame)
    assert [row["doc"] for row in service.ledger.events("m")] == [{"x": 1}, {"y": 2}]


def test_pandas_categories_and_nullable_types(service: FakeService, client: headrace.Client) -> None:
    frame = pd.DataFrame(
        {
            "event_id": pd.array([1, 2], dtype="Int64"),
            "event_time": pd.to_datetime(["2013-01-01", "2013-01-01"]),
            "carrier": pd.Categorical(["AA", None]),
            "n": pd.array([7, None], dtype="Int64"),
        }
    )
    client.model("m").publish(frame)
    assert service.ledger.events("m") == [
        {"event_id": "1", "event_time": T0, "carrier": "AA", "n": 7},
        {"event_id": "2", "event_time": T0},
    ]


@pytest.mark.parametrize("times", [[1_356_998_400], [1_356_998_400.0], ["2013-01-01T00:00:00Z"], ["2013-01-01 00:00"]])
def test_times_of_a_frame_may_be_numbers_or_texts(
    service: FakeService, client: headrace.Client, times: list[object]
) -> None:
    client.model("m").publish(pl.DataFrame({"event_id": ["a"], "event_time": times}))
    client.model("m").publish(pl.DataFrame({"event_time": times}))
    assert [row["event_time"] for row in service.ledger.events("m")] == [T0, T0]


def test_a_text_that_is_no_time_goes_as_it_is(service: FakeService, client: headrace.Client) -> None:
    client.model("m").publish(pl.DataFrame({"event_id": ["a", "b"], "event_time": ["soon", "2013-01-01T00:00:00Z"]}))
    client.model("m").publish(pl.DataFrame({"event_time": ["soon", "2013-01-01T00:00:00Z"]}))
    assert [row["event_time"] for row in service.ledger.events("m")] == ["soon", T0, "soon", T0]


def test_a_large_frame_is_streamed_in_many_batches(service: FakeService, client: headrace.Client) -> None:
    service.behaviour.suggested_batch_rows = 500
    frame = pl.DataFrame({"event_id": [f"e{n}" for n in range(20_000)], "x": list(range(20_000))})
    result = client.model("m").publish(frame)
    assert result.stored == 20_000
    assert [row["x"] for row in service.ledger.events("m")] == list(range(20_000))
    assert client.stats().batches == 40


def test_a_reader_is_read_batch_by_batch(service: FakeService, client: headrace.Client) -> None:
    schema = pa.schema([("event_id", pa.string())])

    def batches() -> Iterator[pa.RecordBatch]:
        for n in range(5):
            yield pa.record_batch([[f"e{n}"]], schema=schema)

    client.model("m").publish(pa.RecordBatchReader.from_batches(schema, batches()))
    assert len(service.ledger.events("m")) == 5


@pytest.mark.parametrize("name", ["rows.txt", "rows"])
def test_a_file_of_another_kind_is_refused(client: headrace.Client, tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(InvalidArgumentError, match=r"\.parquet or \.csv"):
        client.model("m").publish(tmp_path / name)
