"""Dead letters through a real service: listed, looked at, stored after all, dropped; one service for all tests."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import grpc
import pytest
import pytest_asyncio
from typer.testing import CliRunner

import headrace
import headrace.aio
from headrace import Column, ColumnKind, DeadLetter, ReplayResult, ValueType
from headrace.v1 import batch_pb2, model_pb2
from headrace.v1 import dead_letter_service_pb2 as pb
from headrace.v1.dead_letter_service_pb2_grpc import DeadLetterServiceStub
from headrace_server.cli.application import application
from support.service import running_service
from support.timescale import TimescaleCluster
from support.wire_client import WireClient, events, json_batch, told, wire_client

pytestmark = pytest.mark.asyncio(loop_scope="module")
BAD = {"dep_delay": "soon"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(timescale: TimescaleCluster) -> AsyncIterator[str]:
    async with timescale.fresh_database() as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def address(url: str) -> AsyncIterator[str]:
    async with running_service(url) as service:
        yield service.grpc


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire(address: str) -> AsyncIterator[WireClient]:
    async with wire_client(address) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(address: str) -> AsyncIterator[headrace.aio.AsyncClient]:
    async with headrace.aio.connect(address) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


@pytest_asyncio.fixture(loop_scope="module")
async def model(wire: WireClient) -> str:
    """A registered model that no other test has."""
    name = f"m{uuid4().hex}"
    await wire.register(name)
    return name


async def letters(client: headrace.aio.AsyncClient, **wanted: Any) -> list[DeadLetter]:
    return [letter async for letter in client.dead_letters.list(**wanted)]


async def stored(database: asyncpg.Connection, model: str) -> list[str]:
    rows = await database.fetch(f"SELECT event_id FROM main.{model} ORDER BY event_id")
    return [row["event_id"] for row in rows]


async def test_a_row_is_stored_once_its_schema_is_mended(
    wire: WireClient, client: headrace.aio.AsyncClient, database: asyncpg.Connection, model: str
) -> None:
    rows = [*events(2), *events(1, first=2, gate="B7"), *events(1, first=3, **BAD)]
    await wire.publish(json_batch(rows, model=model, version="v7"))
    wrong_type, unknown = await letters(client, model=model)
    assert (unknown.reason, unknown.column, unknown.row, unknown.replays) == ("UNKNOWN_COLUMN", "gate", 2, 0)
    assert (wrong_type.reason, wrong_type.column, wrong_type.row) == ("WRONG_TYPE", "dep_delay", 3)
    whole = await client.dead_letters.get(unknown.id)
    assert whole.rows == [rows[2]]
    assert batch_pb2.Batch.FromString(whole.payload).model_version == "v7"

    await client.update_model(model, add=[Column("gate", ColumnKind.FEATURE, ValueType.STRING)])
    result = await client.dead_letters.replay(model=model)

    assert (result.tried, result.stored, result.refused) == (2, 1, 1)
    assert [(r.id, r.reason, r.column) for r in result.refusals] == [(wrong_type.id, "WRONG_TYPE", "dep_delay")]
    row = await database.fetchrow(f"SELECT gate, model_version FROM main.{model} WHERE event_id = 'e2'")
    assert tuple(row) == ("B7", "v7")
    (waiting,) = await letters(client, model=model)
    assert (waiting.id, waiting.replays) == (wrong_type.id, 1)
    (replayed,) = await letters(client, model=model, state="replayed")
    assert replayed.id == unknown.id
    assert replayed.replayed_time is not None
    again = await client.dead_letters.replay([unknown.id])
    assert again == ReplayResult()
    assert await stored(database, model) == ["e0", "e1", "e2"]


async def test_a_row_that_came_by_another_way_is_a_duplicate_or_a_conflict(
    wire: WireClient, client: headrace.aio.AsyncClient, model: str
) -> None:
    await wire.publish(json_batch([*events(1, gate="B7"), *events(1, first=1, gate="B8")], model=model))
    await client.update_model(model, add=[Column("gate", ColumnKind.FEATURE, ValueType.STRING)])
    await wire.publish(json_batch([*events(1, gate="B7"), *events(1, first=1, gate="C1")], model=model))
    result = await client.dead_letters.replay(model=model)
    assert (result.stored, result.duplicate, result.refused) == (0, 1, 1)
    (conflict,) = await letters(client, model=model)
    assert (conflict.reason, conflict.row) == ("REPLAY_CONFLICT", 1)


async def test_labels_are_replayed_too(
    wire: WireClient, client: headrace.aio.AsyncClient, database: asyncpg.Connection, model: str
) -> None:
    await wire.publish(json_batch(events(1), model=model))
    await wire.publish(json_batch([{"event_id": "e0", "cause": "fog"}], model=model, kind="LABELS"))
    (letter,) = await letters(client, model=model, kind="labels")
    assert letter.kind == "LABELS"
    await client.update_model(model, add=[Column("cause", ColumnKind.LABEL, ValueType.STRING)])
    assert (await client.dead_letters.replay([letter.id])).stored == 1
    assert await database.fetchval(f"SELECT cause FROM main.{model}_joined") == "fog"


async def test_a_time_that_the_service_gives_is_that_of_the_first_receipt(
    wire: WireClient, client: headrace.aio.AsyncClient, database: asyncpg.Connection, model: str
) -> None:
    name = f"{model}_append"
    await wire.register(name, identity=model_pb2.IDENTITY_APPEND)
    await wire.publish(json_batch([{"event_id": "a", "gate": "B7"}], model=name))
    await database.execute("UPDATE headrace.dead_letters SET created_at = '2026-01-02' WHERE model = $1", name)
    await client.update_model(name, add=[Column("gate", ColumnKind.FEATURE, ValueType.STRING)])
    assert (await client.dead_letters.replay(model=name)).stored == 1
    times = await database.fetchrow(f"SELECT event_time::date::text, observed_time::date::text FROM main.{name}")
    assert tuple(times) == ("2026-01-02", "2026-01-02")


async def test_a_batch_that_was_refused_whole_is_taken_apart(
    wire: WireClient, client: headrace.aio.AsyncClient, database: asyncpg.Connection, model: str
) -> None:
    await wire.publish(json_batch(b"[no JSON", model=model))
    (letter,) = await letters(client, model=model)
    assert (letter.reason, letter.row) == ("UNDECODABLE", None)
    assert (await client.dead_letters.get(letter.id)).rows is None
    assert (await client.dead_letters.replay([letter.id])).refused == 1
    assert [each.id for each in await letters(client, model=model)] == [letter.id]

    mended = json_batch([*events(2), *events(1, first=2, **BAD)], model=model).SerializeToString()
    await database.execute(
        "UPDATE headrace.dead_letters SET payload = $2, payload_bytes = $3 WHERE id = $1",
        letter.id,
        mended,
        len(mended),
    )
    result = await client.dead_letters.replay([letter.id])
    assert await stored(database, model) == ["e0", "e1"]
    (rest,) = await letters(client, model=model)
    assert (rest.reason, rest.row, rest.request_id) == ("WRONG_TYPE", 2, letter.request_id)
    assert (result.tried, result.refused) == (1, 1)


async def test_a_letter_of_which_only_the_head_is_kept_stays(
    wire: WireClient, client: headrace.aio.AsyncClient, model: str
) -> None:
    await wire.publish(json_batch(events(1, note="n" * 70_000), model=model))
    (letter,) = await letters(client, model=model)
    assert not letter.is_whole
    result = await client.dead_letters.replay(model=model)
    assert [refusal.reason for refusal in result.refusals] == ["LETTER_NOT_WHOLE"]
    assert (await client.dead_letters.get(letter.id)).rows is None


async def test_letters_are_dropped_by_number_and_by_filter(
    wire: WireClient, client: headrace.aio.AsyncClient, model: str
) -> None:
    await wire.publish(json_batch([*events(3, **BAD), *events(2, first=3, gate="B7")], model=model))
    first, *_ = await letters(client, model=model, reason="WRONG_TYPE")
    assert await client.dead_letters.drop([first.id]) == 1
    assert await client.dead_letters.drop(model=model, column="gate") == 2
    assert len(await letters(client, model=model)) == 2
    with pytest.raises(headrace.ServiceError, match="there is no dead letter"):
        await client.dead_letters.get(first.id)


async def test_letters_are_listed_by_pages_newest_first(
    wire: WireClient, client: headrace.aio.AsyncClient, model: str
) -> None:
    await wire.publish(json_batch(events(250, **BAD), model=model))
    found = await letters(client, model=model)
    assert [letter.row for letter in found] == list(range(249, -1, -1))
    middle = found[100].create_time
    assert len(await letters(client, model=model, since=middle)) == 250
    assert await letters(client, model=model, until=middle) == []
    assert await letters(client, model=model, producer_id=str(uuid4())) == []


async def test_another_project_s_letters_are_out_of_reach(
    address: str, wire: WireClient, client: headrace.aio.AsyncClient, database: asyncpg.Connection, model: str
) -> None:
    await wire.publish(json_batch(events(1, **BAD), model=model))
    (letter,) = await letters(client, model=model)
    async with headrace.aio.connect(address, project="team_b") as other:
        assert await other.dead_letters.drop([letter.id], state="any") == 0
        assert (await other.dead_letters.replay([letter.id])).tried == 0
        with pytest.raises(headrace.ServiceError):
            await other.dead_letters.get(letter.id)


async def test_requests_that_say_nothing_are_refused_by_name(address: str, client: headrace.aio.AsyncClient) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = DeadLetterServiceStub(channel)
        for call, request, reason in (
            (stub.DropDeadLetters, pb.DropDeadLettersRequest(), "SELECTION_REQUIRED"),
            (stub.ReplayDeadLetters, pb.ReplayDeadLettersRequest(), "SELECTION_REQUIRED"),
            (stub.ReplayDeadLetters, pb.ReplayDeadLettersRequest(ids=range(10_001)), "SELECTION_REQUIRED"),
            (stub.ListDeadLetters, pb.ListDeadLettersRequest(page_token="x"), "FILTER_INVALID"),
            (stub.ListDeadLetters, pb.ListDeadLettersRequest(filter={"producer_id": "worker-1"}), "FILTER_INVALID"),
            (stub.ListDeadLetters, pb.ListDeadLettersRequest(filter={"reason": 9_999}), "FILTER_INVALID"),
            (stub.ListDeadLetters, pb.ListDeadLettersRequest(filter={"state": 9}), "FILTER_INVALID"),
            (stub.GetDeadLetter, pb.GetDeadLetterRequest(id=2**64 - 1), "DEAD_LETTER_NOT_FOUND"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(request)
            assert told(refused.value.trailing_metadata())[0] == reason
    with pytest.raises(headrace.InvalidArgumentError):
        await letters(client, reason="NOT_A_REASON")


async def test_on_the_command_line(address: str, wire: WireClient, model: str) -> None:
    await wire.publish(json_batch([*events(1, gate="B7"), *events(1, first=1, **BAD)], model=model))

    def run(*arguments: str, code: int = 0) -> str:
        ended = CliRunner(env={"COLUMNS": "200"}).invoke(
            application, ["dead-letters", *arguments, "--address", address]
        )
        assert ended.exit_code == code, ended.output
        return ended.output

    def session() -> None:
        listed = run("list", "--model", model, "--column", "gate")
        assert "UNKNOWN_COLUMN" in listed
        number = next(word for word in listed.split() if word.isdecimal())
        assert '"gate": "B7"' in run("show", number)
        assert "2 letters tried: 0 stored, 0 had been stored before, 2 refused again" in run(
            "replay", "-m", model, code=1
        )
        assert "say which letters are meant" in run("drop", code=2)
        assert "1 letters dropped" in run("drop", number)
        assert "1 letters dropped" in run("drop", "-m", model)
        assert "no dead letters" in run("list", "-m", model)

    await asyncio.to_thread(session)
