"""Tables become batches within the limits; every row is in exactly one, or refused by name."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from headrace.encoding.table import EncodedBatch, Header, Limits, RefusedRow, RowTable, encode
from headrace.testing.batch_rows import rows_of_batch
from headrace.v1 import batch_pb2

HEADER = Header(batch_pb2.RECORD_KIND_EVENTS, "m", "v1")
WIDE = Limits(rows=1_000, bytes=1_000_000)


def table(**cells: Sequence[object]) -> RowTable:
    count = len(next(iter(cells.values())))
    return RowTable(range(count), [f"e{n}" for n in range(count)], list(range(count)), cells)


def encoded(rows: RowTable, limits: Limits = WIDE) -> tuple[list[EncodedBatch], list[RefusedRow]]:
    parts = list(encode(rows, HEADER, limits))
    batches = [part for part in parts if isinstance(part, EncodedBatch)]
    return batches, [part for part in parts if isinstance(part, RefusedRow)]


def decoded(batch: EncodedBatch) -> list[dict[str, object]]:
    return rows_of_batch(batch_pb2.Batch.FromString(batch.body))


def test_a_table_that_fits_is_one_batch_with_header_ids_and_times() -> None:
    (batch,), refused = encoded(table(x=[1.0, None]))
    message = batch_pb2.Batch.FromString(batch.body)
    assert (message.kind, message.model, message.model_version, message.seq) == (HEADER.kind, "m", "v1", 0)
    assert [sorted(row) for row in decoded(batch)] == [["event_id", "event_time", "x"], ["event_id", "event_time"]]
    assert not refused


def test_a_table_with_too_many_rows_is_parted_in_order() -> None:
    batches, _ = encoded(table(x=[float(n) for n in range(25)]), Limits(rows=10, bytes=1_000_000))
    assert [list(batch.source_rows) for batch in batches] == [
        list(range(10)),
        list(range(10, 20)),
        list(range(20, 25)),
    ]


def test_a_batch_with_too_many_bytes_is_halved_until_it_fits() -> None:
    batches, refused = encoded(table(x=["y" * 100] * 20), Limits(rows=1_000, bytes=700))
    assert len(batches) > 1
    assert all(len(batch.body) <= 700 for batch in batches)
    assert [row for batch in batches for row in batch.source_rows] == list(range(20))
    assert not refused


def test_a_single_row_that_is_too_large_is_refused_and_the_others_go() -> None:
    batches, (refused,) = encoded(table(x=["a", "b" * 2_000, "c"]), Limits(rows=1_000, bytes=700))
    assert sorted(row for batch in batches for row in batch.source_rows) == [0, 2]
    assert (refused.source_row, refused.reason) == (1, "ROW_TOO_LARGE")
    assert "2" in refused.message


def test_rows_of_another_type_go_in_a_batch_of_their_own() -> None:
    batches, refused = encoded(table(x=[1.0, "two", 3, None, True]))
    assert [list(batch.source_rows) for batch in batches] == [[0, 2, 3], [1], [4]]
    assert [row["x"] for batch in batches for row in decoded(batch) if "x" in row] == [1.0, 3.0, "two", True]
    assert not refused


def test_rows_that_cannot_be_written_are_refused_and_take_no_other_with_them() -> None:
    batches, refused = encoded(table(x=[1, 2**70, 3], y=["a", "b", "\ud800"]))
    assert [list(batch.source_rows) for batch in batches] == [[0]]
    assert [(row.source_row, row.reason, row.column) for row in refused] == [
        (1, "UNENCODABLE", "x"),
        (2, "UNENCODABLE", "y"),
    ]


def test_a_part_keeps_the_ids_and_places_of_its_rows() -> None:
    batches, _ = encoded(table(x=[1.0, "two", 3.0]).slice(1, 3))
    assert {i: e for b in batches for i, e in zip(b.source_rows, b.event_ids, strict=True)} == {1: "e1", 2: "e2"}


cells = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.floats() | st.text())


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=30), st.integers(1, 40), st.integers(60, 400))
def test_whatever_is_in_a_table_every_row_has_one_place(
    rows: list[tuple[object, object]], most_rows: int, most_bytes: int
) -> None:
    xs, ys = zip(*rows, strict=True)
    batches, refused = encoded(table(x=xs, y=ys), Limits(most_rows, most_bytes))
    places = [row for batch in batches for row in batch.source_rows] + [row.source_row for row in refused]
    assert sorted(places) == list(range(len(rows)))
    for batch in batches:
        assert len(batch.body) <= most_bytes
        assert len(decoded(batch)) == len(batch.source_rows) <= most_rows
