"""The whole corpus of poison in a few batches: each cell costs its row alone, and the row beside it nothing."""

import struct
from uuid import UUID, uuid4

import asyncpg

from headrace.v1.error_reason_pb2 import ErrorReason
from support.poison import BROKEN, HARMLESS, POISON
from support.wire_client import WireClient, events, json_batch, rows_of

CASES = [
    (reason, column, cell) for column, reasons in POISON.items() for reason, cells in reasons.items() for cell in cells
]


async def test_each_of_hundreds_of_bad_cells_costs_its_row_and_no_other(
    client: WireClient, database: asyncpg.Connection
) -> None:
    assert len(CASES) >= 200
    await client.register()
    rows = events(2 * len(CASES))  # a good row after each bad one
    expected: dict[tuple[str, str], list[int]] = {}
    for index, (reason, column, cell) in enumerate(CASES):
        rows[2 * index][column] = cell
        expected.setdefault((reason, column), []).append(2 * index)
    producer, stream = str(uuid4()), client.stream()
    await stream.open(producer)
    result = await stream.settle(json_batch(rows, seq=1))
    assert {
        (ErrorReason.Name(errors.reason).removeprefix("ERROR_REASON_"), errors.column): rows_of(errors.rows)
        for errors in result.errors
    } == expected
    assert (result.stored, result.rejected) == (len(CASES), len(CASES))
    assert await database.fetchval("SELECT count(*) FROM main.flight_delay") == len(CASES)
    letters = await database.fetch(
        "SELECT row_index, reason FROM headrace.dead_letters WHERE producer_id = $1 ORDER BY row_index", UUID(producer)
    )
    assert [tuple(letter) for letter in letters] == [(2 * index, case[0]) for index, case in enumerate(CASES)]


async def test_what_only_looks_wrong_is_stored_as_it_is(client: WireClient, database: asyncpg.Connection) -> None:
    await client.register()
    cells = [(column, cell) for column, cells in HARMLESS.items() for cell in cells]
    rows = events(len(cells))
    for row, (column, cell) in zip(rows, cells, strict=True):
        row[column] = cell
    assert (await client.publish(json_batch(rows))).stored == len(rows)
    stored = await database.fetch("SELECT * FROM main.flight_delay ORDER BY event_time")
    for row, (column, cell) in zip(stored, cells, strict=True):
        assert row[column] == (as_float32(cell) if column == "embedding" else cell)


async def test_texts_that_are_no_rows_are_kept_whole_and_end_no_stream(
    client: WireClient, database: asyncpg.Connection
) -> None:
    await client.register()
    producer, stream = str(uuid4()), client.stream()
    await stream.open(producer)
    for seq, text in enumerate(BROKEN, 1):
        result = await stream.settle(json_batch(text, seq=seq))
        reasons = [ErrorReason.Name(errors.reason) for errors in result.errors]
        assert reasons == ["ERROR_REASON_UNDECODABLE"], text[:40]
    assert await stream.settle(json_batch(events(1), seq=len(BROKEN) + 1)) is None
    kept = "SELECT count(*) FROM headrace.dead_letters WHERE producer_id = $1 AND reason = 'UNDECODABLE'"
    assert await database.fetchval(kept, UUID(producer)) == len(BROKEN)


def as_float32(numbers: list[float]) -> list[float]:
    return [struct.unpack("f", struct.pack("f", number))[0] for number in numbers]
