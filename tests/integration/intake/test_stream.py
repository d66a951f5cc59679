"""One stream against the real service: every answer the protocol names."""

from uuid import uuid4

import asyncpg
import grpc

from headrace.v1 import ingest_service_pb2 as pb
from headrace.v1.error_reason_pb2 import ErrorReason
from support.wire_client import WireClient, WireStream, events, is_retryable, json_batch, rows_of


async def count(database: asyncpg.Connection, table: str = "main.flight_delay") -> int:
    return await database.fetchval(f"SELECT count(*) FROM {table}")


async def test_an_acked_batch_is_in_the_database(client: WireClient, database: asyncpg.Connection) -> None:
    await client.register()
    stream = client.stream()
    opened = await stream.open()
    assert (opened.last_committed_seq, opened.epoch, opened.project) == (0, 1, "main")
    assert await stream.settle(json_batch(events(10), seq=1)) is None
    assert await count(database) == 10
    assert await stream.settle(json_batch(events(5, first=10), seq=2)) is None
    assert await count(database) == 15


async def test_a_batch_sent_again_adds_no_row_and_gets_its_first_result(
    client: WireClient, database: asyncpg.Connection
) -> None:
    await client.register()
    producer = str(uuid4())
    bad = [*events(3), {"event_id": "x", "event_time": "2013-01-01T00:00:00Z", "dep_delay": "soon"}]
    stream = client.stream()
    await stream.open(producer)
    first = await stream.settle(json_batch(bad, seq=1))
    assert (first.stored, first.rejected, first.replayed) == (3, 1, False)
    again = client.stream()
    assert (await again.open(producer)).last_committed_seq == 1
    replayed = await again.settle(json_batch(bad, seq=1))
    assert replayed.replayed
    replayed.replayed = False
    assert replayed == first
    assert await count(database) == 3
    assert await database.fetchval("SELECT count(*) FROM headrace.dead_letters") == 1


async def test_a_missing_batch_ends_the_stream_and_names_the_expected_seq(client: WireClient) -> None:
    await client.register()
    stream = client.stream()
    await stream.open()
    await stream.settle(json_batch(events(1), seq=1))
    await stream.batch(json_batch(events(1), seq=3))
    code, reason, status = await stream.end()
    assert (code, reason) == (grpc.StatusCode.OUT_OF_RANGE, "SEQ_GAP")
    assert not is_retryable(status)


async def test_a_newer_session_fences_the_older(client: WireClient, database: asyncpg.Connection) -> None:
    await client.register()
    producer = str(uuid4())
    older, newer = client.stream(), client.stream()
    await older.open(producer)
    await newer.open(producer)
    await older.batch(json_batch(events(1), seq=1))
    assert (await older.end())[:2] == (grpc.StatusCode.ABORTED, "FENCED")
    assert await count(database) == 0
    assert await newer.settle(json_batch(events(1), seq=1)) is None


async def test_no_open_is_told_by_name(client: WireClient) -> None:
    stream = client.stream()
    await stream.batch(json_batch(events(1), seq=1))
    assert (await stream.end())[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "OPEN_EXPECTED")


async def test_one_bad_row_of_ten_thousand_costs_no_other(client: WireClient, database: asyncpg.Connection) -> None:
    await client.register()
    rows = events(10_000)
    rows[1234]["dep_delay"] = "soon"
    stream = client.stream()
    await stream.open()
    result = await stream.settle(json_batch(rows, seq=1))
    assert (result.rows, result.stored, result.rejected) == (10_000, 9_999, 1)
    (errors,) = result.errors
    assert (errors.reason, errors.column, rows_of(errors.rows)) == (
        ErrorReason.ERROR_REASON_WRONG_TYPE,
        "dep_delay",
        [1234],
    )
    assert await count(database) == 9_999


async def test_repeats_are_told_apart_as_duplicates_and_conflicts(
    client: WireClient, database: asyncpg.Connection
) -> None:
    await client.register()
    rows = events(100)
    assert (await client.publish(json_batch(rows))).stored == 100
    rows[7]["dep_delay"] = -1.0
    rows += events(3, first=100) + events(1, first=102)
    result = await client.publish(json_batch(rows))
    assert (result.stored, result.duplicate, result.conflict) == (3, 100, 1)
    assert rows_of(result.conflict_rows) == [7]
    assert rows_of(result.duplicate_rows) == [*range(7), *range(8, 100), 103]
    assert await count(database) == 103


async def test_the_client_half_closes_and_gets_the_rest_of_its_acks(client: WireClient) -> None:
    await client.register()
    stream = client.stream()
    await stream.open()
    for seq in range(1, 21):
        await stream.batch(json_batch(events(50, first=50 * seq), seq=seq))
    await stream.call.done_writing()
    through = 0
    while (message := await stream.call.read()) is not grpc.aio.EOF:
        through = max(through, message.ack.through_seq)
    assert through == 20
    assert await stream.call.code() is grpc.StatusCode.OK


async def test_unreadable_bytes_end_the_stream_by_name(client: WireClient) -> None:
    call = client.channel.stream_stream("/headrace.v1.IngestService/Ingest", None, pb.IngestResponse.FromString)()
    await call.write(b"\xff\xff\xff\xff")
    assert (await WireStream(call).end())[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_UNREADABLE")
