"""From batches to what one transaction writes: a part a table, in the order of the tables' names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest

from headrace.v1 import batch_pb2
from headrace_server.batching.batch import PendingBatch, Producer
from headrace_server.batching.verdicts import Refusal, Verdict
from headrace_server.copying.append_landing import prepare_append
from headrace_server.copying.group import prepare_group
from headrace_server.copying.landing import GroupRows, Landed, Lined
from headrace_server.copying.target import Target
from headrace_server.copying.transaction import outcomes_of
from headrace_server.copying.unique_landing import prepare_probed, prepare_straight
from headrace_server.validation.rejections import Rejections

TIME = pa.timestamp("us", "UTC")
START = datetime(2013, 1, 1, tzinfo=UTC)


def target(name: str = "flights") -> Target:
    return Target("main", name, "text", frozenset(), ("event_id", "event_time", "x"), timedelta(days=7))


class PlainLanding:
    """A landing that only says what it was given."""

    def __init__(self, name: str = "flights", revision: int = 1, prepare: Callable = prepare_append) -> None:
        self.target = target(name)
        self.table_key = self.target.key
        self.revision = revision
        self._prepare = prepare

    def chunks(self, rows: GroupRows) -> np.ndarray:
        return np.unique(self.target.chunks_of(rows.table))

    def prepare(self, rows: GroupRows) -> object:
        return self._prepare(self.target, rows)


def batch(ids: str, landing: PlainLanding | None, seq: int = 1, bad: int = 0, **columns: list[float]) -> PendingBatch:
    """A batch with an event for each letter, a day apart, behind so many rows that were refused."""
    table = pa.table(
        {"event_id": list(ids), "event_time": pa.array([START + timedelta(days=ord(i)) for i in ids], TIME), **columns}
    )
    rejections = Rejections(len(ids) + bad)
    rejections.add("WRONG_TYPE", "x", np.arange(len(ids) + bad) < bad, "bad")
    return PendingBatch(
        origin=Producer("main", uuid4()),
        epoch=1,
        seq=seq,
        kind=batch_pb2.RECORD_KIND_EVENTS,
        model="m",
        model_version="",
        target=landing,
        table=table,
        places=np.arange(len(ids)) + bad,
        row_count=len(ids) + bad,
        rejections=rejections,
        letters=[],
        size_bytes=1,
        received_at=START,
    )


async def test_a_group_has_a_part_for_each_table_by_name() -> None:
    a, b = PlainLanding("a"), PlainLanding("b")
    batches = [batch("xy", b), batch("z", a), batch("w", b)]
    group = prepare_group(batches)
    assert [part.landing.table_key for part in group.parts] == ["main.a", "main.b"]
    assert [len(part.rows) for part in group.parts] == [1, 3]
    assert group.batches is batches


async def test_batches_without_good_rows_are_in_the_group_and_in_no_part() -> None:
    group = prepare_group([batch("", PlainLanding(), bad=2), batch("", None)])
    assert len(group.batches) == 2
    assert not group.parts


async def test_columns_are_the_union_and_absent_ones_null() -> None:
    rows = GroupRows.of([batch("a", None, x=[1.0]), batch("b", None, y=[2.0])])
    assert rows.table.column("x").to_pylist() == [1.0, None]
    assert rows.table.column("y").to_pylist() == [None, 2.0]


async def test_of_two_revisions_of_a_table_the_newer_takes_the_rows() -> None:
    old, new = PlainLanding(revision=1), PlainLanding(revision=2)
    (part,) = prepare_group([batch("a", new), batch("b", old)]).parts
    assert part.landing is new


async def test_each_batch_finds_its_own_rows_again() -> None:
    batches = [batch("ab", None), batch("", None), batch("c", None, bad=3)]
    rows = GroupRows.of(batches)
    assert [(each, rows.places[own].tolist()) for each, own in rows.by_batch()] == [
        (batches[0], [0, 1]),
        (batches[1], []),
        (batches[2], [3]),
    ]
    assert [len(rows.places[own]) for _, own in rows.take(np.array([0, 2])).by_batch()] == [1, 0, 1]


@pytest.mark.parametrize("prepare", [prepare_append, prepare_straight])
async def test_rows_are_sorted_and_each_line_is_known(prepare: Callable) -> None:
    prepared = prepare(target(), GroupRows.of([batch("cab", None)]))
    assert isinstance(prepared, Lined)
    assert prepared.lines.tolist() == [1, 2, 0]


async def test_a_repeat_within_a_group_is_a_repeat_of_the_first_that_was_sent() -> None:
    rows = GroupRows.of([batch("ba", None, x=[1.0, 2.0]), batch("ab", None, x=[3.0, 4.0])])
    prepared = prepare_probed(target(), rows)
    assert prepared.order.tolist() == [1, 2, 0, 3]
    assert prepared.first.tolist() == [True, False, True, False]


async def test_rows_of_one_chunk_are_copied_together() -> None:
    one = batch("ab", None)
    far = one.table.set_column(1, "event_time", pa.array([START + timedelta(days=30), START], TIME))
    one.table = far
    assert prepare_straight(target(), GroupRows.of([one])).lines.tolist() == [1, 0]


async def test_verdicts_and_refusals_come_back_to_their_batches_and_rows() -> None:
    first, second = batch("ab", None, bad=1), batch("c", None)
    rows = GroupRows.of([first, second])
    verdicts = np.array([Verdict.STORED, Verdict.REJECTED, Verdict.DUPLICATE], dtype=np.uint8)
    landed = Landed(verdicts, {1: Refusal(2, "STORAGE_REJECTED", "too small", sqlstate="23514")})

    outcomes = await outcomes_of([first, second], [(rows, landed)])

    assert outcomes[first].verdicts.tolist() == [Verdict.REJECTED, Verdict.STORED, Verdict.REJECTED]
    result = outcomes[first].result(first)
    assert (result.rows, result.stored, result.rejected) == (3, 1, 2)
    assert [(list(e.rows.starts), e.message) for e in result.errors] == [([0], "bad"), ([2], "too small")]
    assert [letter.sqlstate for letter in outcomes[first].letters] == ["23514"]
    assert outcomes[second].result(second).duplicate == 1
    assert not outcomes[second].letters
    assert not first.rejections.mask()[2], "an attempt that is rolled back leaves no trace in its batches"


async def test_preparing_runs_beside_the_event_loop() -> None:
    group = await asyncio.to_thread(prepare_group, [batch("ab", PlainLanding())])
    assert len(group.parts) == 1
