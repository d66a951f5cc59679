"""How wide a group may be, where every chunk is known already and nobody needs to be asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from headrace_server.copying.chunks import MOST_MADE, MOST_OWNED, MOST_TOUCHED, ChunkBook
from headrace_server.copying.target import Target

TARGET = Target("main", "flights", "text", frozenset(), (), timedelta(days=7))


class Owns:
    """A database whose table owns some chunks; counts how often it is asked."""

    def __init__(self, chunks: range = range(0)) -> None:
        self._chunks = chunks
        self.asked = 0

    async def fetch(self, *_: object) -> list[dict[str, datetime]]:
        self.asked += 1
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        return [{"range_start": epoch + number * TARGET.chunk_interval} for number in self._chunks]


def group(chunks: range) -> Any:
    return SimpleNamespace(parts=[part(chunks)])


def part(chunks: range) -> Any:
    landing = SimpleNamespace(target=TARGET, table_key="main.flights_inbox")
    return SimpleNamespace(landing=landing, chunks=np.array(chunks, dtype=np.int64))


@pytest.mark.parametrize(("chunks", "is_wide"), [(MOST_TOUCHED, False), (MOST_TOUCHED + 1, True)])
async def test_a_transaction_touches_so_many_chunks_and_no_more(chunks: int, is_wide: bool) -> None:
    database = Owns(range(1_000))
    assert await ChunkBook().is_too_wide(database, group(range(chunks))) is is_wide


@pytest.mark.parametrize(("chunks", "is_wide"), [(MOST_MADE, False), (MOST_MADE + 1, True)])
async def test_a_transaction_makes_so_many_chunks_and_no_more(chunks: int, is_wide: bool) -> None:
    assert await ChunkBook().is_too_wide(Owns(), group(range(chunks))) is is_wide


async def test_a_model_owns_so_many_chunks_and_no_more() -> None:
    book, database = ChunkBook(), Owns(range(MOST_OWNED - 1))
    assert not await book.is_too_wide(database, group(range(MOST_OWNED - 1, MOST_OWNED)))
    assert await book.is_too_wide(database, group(range(MOST_OWNED, MOST_OWNED + 2)))
    assert book.within_limit(TARGET, {MOST_OWNED + 5, MOST_OWNED + 2}) == {MOST_OWNED + 2}


async def test_the_database_is_asked_only_about_chunks_never_seen() -> None:
    book, database = ChunkBook(), Owns(range(10))
    for _ in range(3):
        assert not await book.is_too_wide(database, group(range(10)))
    assert database.asked == 1
    book.learn([part(range(10, 12))])
    assert await book.new_chunks(database, TARGET, np.array([11])) == set()
    assert database.asked == 1


def test_a_chunk_is_a_span_of_time_from_1970_on() -> None:
    times = [datetime(1969, 12, 31, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 8, tzinfo=UTC)]
    table = pa.table({"event_time": pa.array(times, pa.timestamp("us", "UTC"))})
    numbers = TARGET.chunks_of(table)
    assert numbers.tolist() == [-1, 0, 1]
    assert list(TARGET.windows(numbers[:1])) == [
        (-1, "'1969-12-25T00:00:00+00:00'::timestamptz", "'1970-01-01T00:00:00+00:00'::timestamptz")
    ]
