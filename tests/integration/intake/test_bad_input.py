"""Every bad input that we could think of, through a real service: its named error, nothing lost, the stream goes on.

One service serves all cases; each case has a model and a producer of its own, and is sent on a stream and by Publish.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import grpc
import pytest
import pytest_asyncio

from headrace.v1 import batch_pb2, model_pb2
from headrace.v1 import ingest_service_pb2 as pb
from headrace.v1.error_reason_pb2 import ErrorReason
from headrace_server.decoding.decode import decode
from support.service import running_service
from support.timescale import TimescaleCluster
from support.wire_client import (
    WireClient,
    WireStream,
    column,
    events,
    is_retryable,
    json_batch,
    rows_of,
    told,
    wire_client,
)
from support.wire_forms import as_columns, texts
from support.wire_forms import column as cells

pytestmark = pytest.mark.asyncio(loop_scope="module")

MAX_BYTES, MAX_ROWS = 64 * 1024, 500
SECOND = 1_356_998_400


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(timescale: TimescaleCluster) -> AsyncIterator[str]:
    async with timescale.fresh_database() as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(url: str) -> AsyncIterator[WireClient]:
    """A client of the service, whose limits are low enough to be passed in a test."""
    limits = {
        "HEADRACE_INTAKE_MAX_BATCH_BYTES": str(MAX_BYTES),
        "HEADRACE_INTAKE_MAX_BATCH_ROWS": str(MAX_ROWS),
        "HEADRACE_SUGGEST_BATCH_ROWS": str(MAX_ROWS),
    }
    async with running_service(url, **limits) as service, wire_client(service.grpc) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(client: WireClient, url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


@pytest.fixture
def name() -> str:
    """A model's name that no other test has."""
    return f"m{uuid4().hex}"


Rows = list[dict[str, Any]]
Send = Callable[[str], batch_pb2.Batch]


def json_rows(*cells: dict[str, Any], kind: str = "EVENTS", version: str = "") -> Send:
    """Good events, each with some cells changed; a cell that is ... is left out."""
    rows: Rows = [
        {key: cell for key, cell in (event | changed).items() if cell is not ...}
        for event, changed in zip(events(len(cells)), cells, strict=True)
    ]
    return lambda model: json_batch(rows, model=model, kind=kind, version=version)


def map_rows(*values: dict[str, dict[str, Any]]) -> Send:
    """Good events as map rows, with values given by name and kind."""

    def send(model: str) -> batch_pb2.Batch:
        batch = batch_pb2.Batch(kind=batch_pb2.RECORD_KIND_EVENTS, model=model)
        for index, row in enumerate(values):
            sent = batch.rows.rows.add(event_id=f"e{index}")
            sent.event_time.seconds = SECOND
            for key, value in row.items():
                sent.values[key].CopyFrom(batch_pb2.Value(**value))
        return batch

    return send


def columns(*more: batch_pb2.Column, rows: int = 2, times: bool = True) -> Send:
    """Good events as columns, with further columns."""

    def send(model: str) -> batch_pb2.Batch:
        batch = as_columns({"event_id": ("string", [f"e{row}" for row in range(rows)])})
        if times:
            batch.columns.columns.append(cells("event_time", "timestamp", [SECOND * 1_000_000] * rows))
        batch.columns.columns.extend(more)
        batch.model = model
        return batch

    return send


def raw(text: bytes) -> Send:
    return lambda model: json_batch(text, model=model)


@dataclass
class Bad:
    """A bad batch and what is to be said of it.

    Attributes:
        send: Makes it, for a model.
        errors: Refused rows by (reason, column).
        rows: Rows it holds; those not refused are stored.
        model: Settings of its model; None registers none.
        whole: Its dead letter is the batch itself.
    """

    send: Send
    errors: dict[tuple[str, str], list[int]]
    rows: int = 2
    model: dict[str, Any] | None = None
    whole: bool = False


ANY: dict[str, Any] = {}
UNIQUE_UUID = {"event_id_type": model_pb2.EVENT_ID_TYPE_UUID}
NO_LABELS = {"columns": (column("dep_delay", "FLOAT64"),)}
DEEP: Any = "x"
for _ in range(200):
    DEEP = [DEEP]

ROWS: dict[str, Bad] = {
    "unknown column": Bad(json_rows({"wind": 3.5}, {}), {("UNKNOWN_COLUMN", "wind"): [0]}, model=ANY),
    "unknown column as columns": Bad(
        columns(cells("wind", "float64", [None, 1.5])), {("UNKNOWN_COLUMN", "wind"): [1]}, model=ANY
    ),
    "a name no column has": Bad(json_rows({"\0": 1}, {}), {("UNKNOWN_COLUMN", "\0"): [0]}, model=ANY),
    "wrong type": Bad(json_rows({"dep_delay": "abc"}, {}), {("WRONG_TYPE", "dep_delay"): [0]}, model=ANY),
    "wrong type as map rows": Bad(
        map_rows({"diverted": {"int64_value": 1}}, {}), {("WRONG_TYPE", "diverted"): [0]}, model=ANY
    ),
    "wrong type as columns": Bad(
        columns(cells("distance", "string", ["1", None])), {("WRONG_TYPE", "distance"): [0]}, model=ANY
    ),
    "number too large": Bad(json_rows({}, {"distance": 1e30}), {("VALUE_OUT_OF_RANGE", "distance"): [1]}, model=ANY),
    "time no calendar has": Bad(
        columns(cells("booked_at", "timestamp", [2**63 - 1, -(2**63)])),
        {("VALUE_OUT_OF_RANGE", "booked_at"): [0, 1]},
        model=ANY,
    ),
    "nul in text": Bad(json_rows({"note": "a\0b"}, {}), {("NUL_IN_TEXT", "note"): [0]}, model=ANY),
    "nul in category": Bad(
        columns(cells("carrier", "category", ["U\0", "UA"])), {("NUL_IN_TEXT", "carrier"): [0]}, model=ANY
    ),
    "nul in id": Bad(json_rows({"event_id": "e\0"}, {}), {("NUL_IN_TEXT", "event_id"): [0]}, model=ANY),
    "nul in tags": Bad(json_rows({"tags": ["a", "\0"]}, {}), {("NUL_IN_TEXT", "tags"): [0]}, model=ANY),
    "nul in json": Bad(json_rows({"raw": {"a": "\0"}}, {}), {("NUL_IN_TEXT", "raw"): [0]}, model=ANY),
    "nul in metadata": Bad(json_rows({"metadata": {"\0": 1}}, {}), {("NUL_IN_TEXT", "metadata"): [0]}, model=ANY),
    "nul in model_version": Bad(json_rows({}, {}, version="v\0"), {("NUL_IN_TEXT", ""): [0, 1]}, model=ANY),
    "not utf-8": Bad(
        columns(batch_pb2.Column(name="note", strings=texts(["é", b"\xe9"]))),
        {("INVALID_UTF8", "note"): [1]},
        model=ANY,
    ),
    "not utf-8 in json": Bad(
        columns(batch_pb2.Column(name="raw", json=texts(["{}", b'"\xe9"']))), {("INVALID_UTF8", "raw"): [1]}, model=ANY
    ),
    "nan in a document": Bad(
        columns(batch_pb2.Column(name="raw", json=texts(['{"a":NaN}', "{}"]))),
        {("INVALID_JSON", "raw"): [0]},
        model=ANY,
    ),
    "infinity as a document": Bad(
        columns(cells("raw", "float64", [float("inf"), 1.0])), {("INVALID_JSON", "raw"): [0]}, model=ANY
    ),
    "no document": Bad(
        columns(batch_pb2.Column(name="metadata", json=texts(["{", "[1]"]))),
        {("INVALID_JSON", "metadata"): [0]},
        model=ANY,
    ),
    "document too deep": Bad(json_rows({"raw": DEEP}, {"raw": [1]}), {("INVALID_JSON", "raw"): [0]}, model=ANY),
    "a number that only the database can judge": Bad(
        columns(batch_pb2.Column(name="raw", json=texts(["1e-20000", "{}"]))),
        {("STORAGE_REJECTED", ""): [0]},
        model=ANY,
    ),
    "text too long": Bad(json_rows({"source": "s" * 257}, {}), {("TEXT_TOO_LONG", "source"): [0]}, model=ANY),
    "version too long": Bad(json_rows({}, {}, version="v" * 129), {("TEXT_TOO_LONG", ""): [0, 1]}, model=ANY),
    "vector of another dimension": Bad(
        columns(cells("embedding", "vector", [[0.5, 1.0], None])), {("VECTOR_DIMENSION", "embedding"): [0]}, model=ANY
    ),
    "no id": Bad(
        json_rows({"event_id": ...}, {"event_id": ""}, {}), {("EVENT_ID_REQUIRED", "event_id"): [0, 1]}, 3, ANY
    ),
    "id too long": Bad(json_rows({"event_id": "e" * 129}, {}), {("EVENT_ID_TOO_LONG", "event_id"): [0]}, model=ANY),
    "id no uuid": Bad(
        json_rows({"event_id": str(UUID(int=1))}, {}), {("EVENT_ID_INVALID", "event_id"): [1]}, model=UNIQUE_UUID
    ),
    "no time": Bad(json_rows({"event_time": ...}, {}), {("EVENT_TIME_REQUIRED", "event_time"): [0]}, model=ANY),
    "no time at all": Bad(columns(times=False), {("EVENT_TIME_REQUIRED", "event_time"): [0, 1]}, model=ANY),
    "times out of range": Bad(
        json_rows({"event_time": 0}, {"event_time": "2150-01-01T00:00:00Z"}, {"event_time": 1e300}, {}),
        {("EVENT_TIME_OUT_OF_RANGE", "event_time"): [0, 1, 2]},
        4,
        ANY,
    ),
    "no time but a word": Bad(json_rows({"event_time": "soon"}, {}), {("WRONG_TYPE", "event_time"): [0]}, model=ANY),
    "a column by two names": Bad(
        json_rows({"score": 0.5, "prediction": 0.5}, {}), {("COLUMN_REPEATED", "prediction"): [0, 1]}, model=ANY
    ),
    "a label in an event": Bad(json_rows({"late": True}, {}), {("LABEL_IN_EVENT", "late"): [0]}, model=ANY),
    "a column of ours": Bad(
        json_rows({"observed_time": SECOND}, {}), {("IMMUTABLE_COLUMN", "observed_time"): [0]}, model=ANY
    ),
    "several faults": Bad(
        json_rows({"dep_delay": "x", "note": "\0"}, {"note": "\0"}, {}),
        {("WRONG_TYPE", "dep_delay"): [0], ("NUL_IN_TEXT", "note"): [0, 1]},
        3,
        ANY,
    ),
    "no label": Bad(
        json_rows({"dep_delay": ..., "late": True}, {"dep_delay": ...}, kind="LABELS"),
        {("LABEL_REQUIRED", ""): [1]},
        model=ANY,
    ),
    "a feature with a label": Bad(
        json_rows({"late": True}, {"dep_delay": ..., "late": True}, kind="LABELS"),
        {("IMMUTABLE_COLUMN", "dep_delay"): [0]},
        model=ANY,
    ),
    "labels of a model without": Bad(
        json_rows({"late": True}, {}, kind="LABELS"), {("NO_LABELS", ""): [0, 1]}, model=NO_LABELS
    ),
    "unknown model": Bad(json_rows({}, {}), {("UNKNOWN_MODEL", ""): [0, 1]}),
    "labels of an unknown model": Bad(json_rows({"late": True}, {}, kind="LABELS"), {("UNKNOWN_MODEL", ""): [0, 1]}),
    "a name no model has": Bad(lambda model: json_batch(events(2), model="\0" * 40), {("UNKNOWN_MODEL", ""): [0, 1]}),
    "a name longer than any": Bad(
        lambda model: json_batch(events(2), model="m" * 9_000), {("UNKNOWN_MODEL", ""): [0, 1]}, whole=True
    ),
    "unspecified kind": Bad(json_rows({}, {}, kind="UNSPECIFIED"), {("UNKNOWN_KIND", ""): [0, 1]}, model=ANY),
    "too many rows": Bad(
        lambda model: json_batch([{"event_id": f"e{row}"} for row in range(MAX_ROWS + 1)], model=model),
        {("BATCH_TOO_LARGE", ""): list(range(MAX_ROWS + 1))},
        MAX_ROWS + 1,
        ANY,
    ),
    "far too many rows": Bad(
        raw(b"[" + b"{}," * (4 * MAX_ROWS) + b"{}]"),
        {("BATCH_TOO_LARGE", ""): list(range(4 * MAX_ROWS + 1))},
        4 * MAX_ROWS + 1,
        ANY,
        whole=True,
    ),
    "nan in json rows": Bad(raw(b'[{"event_id":"a","x":NaN}]'), {("UNDECODABLE", ""): []}, 0, ANY, whole=True),
    "infinity in json rows": Bad(
        raw(b'[{"event_id":"a","x":-Infinity}]'), {("UNDECODABLE", ""): []}, 0, ANY, whole=True
    ),
    "half a json": Bad(raw(b'[{"event_id":'), {("UNDECODABLE", ""): []}, 0, ANY, whole=True),
    "json of no rows": Bad(raw(b'{"event_id":"a"}'), {("UNDECODABLE", ""): []}, 0, ANY, whole=True),
    "lengths that lie": Bad(
        columns(batch_pb2.Column(name="note", strings=batch_pb2.StringValues(lengths=[1, 2**32 - 1], data=b"ab"))),
        {("UNDECODABLE", ""): []},
        0,
        ANY,
        whole=True,
    ),
    "fewer cells than rows": Bad(
        columns(cells("dep_delay", "float64", [1.0])), {("UNDECODABLE", ""): []}, 0, ANY, whole=True
    ),
    "rows that nobody sent": Bad(
        lambda model: batch_pb2.Batch(
            kind=batch_pb2.RECORD_KIND_EVENTS, model=model, columns=batch_pb2.ColumnBatch(row_count=2**32 - 1)
        ),
        {("UNDECODABLE", ""): []},
        0,
        ANY,
        whole=True,
    ),
    "a name that stands twice": Bad(
        columns(cells("event_id", "string", ["x", "y"])), {("COLUMN_REPEATED", ""): []}, 0, ANY, whole=True
    ),
    "an id among the values": Bad(
        map_rows({"event_id": {"string_value": "a"}}), {("UNDECODABLE", ""): []}, 0, ANY, whole=True
    ),
}


async def register(client: WireClient, bad: Bad, name: str) -> None:
    if bad.model is not None:
        await client.register(name, **bad.model)


def errors_of(result: Any) -> dict[tuple[str, str], list[int]]:
    return {
        (ErrorReason.Name(errors.reason).removeprefix("ERROR_REASON_"), errors.column): rows_of(errors.rows)
        for errors in result.errors
    }


async def check_outcome(
    result: Any, bad: Bad, sent: batch_pb2.Batch, database: asyncpg.Connection, origin: str
) -> None:
    """Check that the result names every bad row, that these are letters as they were sent, and the others stored."""
    refused = {row for rows in bad.errors.values() for row in rows}
    assert errors_of(result) == bad.errors
    assert all(errors.message for errors in result.errors)
    assert (result.rows, result.stored, result.rejected) == (bad.rows, bad.rows - len(refused), len(refused))
    letters = await database.fetch(
        "SELECT row_index, reason, payload, payload_bytes FROM headrace.dead_letters"
        " WHERE $1 IN (producer_id, request_id) ORDER BY row_index",
        UUID(origin),
    )
    if bad.whole:
        (letter,) = letters
        assert letter["reason"] == next(iter(bad.errors))[0]
        alone = batch_pb2.Batch.FromString(letter["payload"])
        alone.seq = sent.seq
        assert (letter["row_index"], alone) == (None, sent)
        return
    assert [letter["row_index"] for letter in letters] == sorted(refused)
    wanted = shown(sent)
    for letter in letters:
        assert letter["reason"] == next(
            reason for (reason, _), rows in bad.errors.items() if letter["row_index"] in rows
        )
        assert letter["payload_bytes"] == len(letter["payload"])
        assert shown(batch_pb2.Batch.FromString(letter["payload"])) == [wanted[letter["row_index"]]]


def shown(batch: batch_pb2.Batch) -> list[str]:
    """Rows as texts, since NaN is not equal to itself."""
    rows = decode(batch)
    cells = {name: cells.python_values() for name, cells in sorted(rows.columns.items())}
    return [repr({name: of[row] for name, of in cells.items() if of[row] is not None}) for row in range(rows.row_count)]


@pytest.mark.parametrize("bad", ROWS.values(), ids=list(ROWS))
async def test_on_a_stream_it_is_named_and_kept_and_the_stream_goes_on(
    bad: Bad, client: WireClient, database: asyncpg.Connection, name: str
) -> None:
    await register(client, bad, name)
    good = f"{name[:20]}_good"
    await client.register(good)
    producer, stream = str(uuid4()), client.stream()
    await stream.open(producer)
    sent = bad.send(name)
    sent.seq = 1
    await check_outcome(await stream.settle(sent), bad, sent, database, producer)
    assert await stream.settle(json_batch(events(5), seq=2, model=good)) is None
    assert await database.fetchval(f"SELECT count(*) FROM main.{good}") == 5


@pytest.mark.parametrize("bad", ROWS.values(), ids=list(ROWS))
async def test_by_publish_it_is_named_and_kept_and_told_again(
    bad: Bad, client: WireClient, database: asyncpg.Connection, name: str
) -> None:
    await register(client, bad, name)
    request, sent = str(uuid4()), bad.send(name)
    first = await client.publish(sent, request)
    await check_outcome(first, bad, sent, database, request)
    again = await client.publish(sent, request)
    assert again.replayed
    again.replayed = False
    assert again == first
    await check_outcome(again, bad, sent, database, request)


async def test_an_undecodable_batch_sent_again_is_told_the_same(client: WireClient, name: str) -> None:
    await client.register(name)
    producer, results = str(uuid4()), []
    for _ in range(2):
        stream = client.stream()
        await stream.open(producer)
        results.append(await stream.settle(json_batch(b"[", seq=1, model=name)))
    assert [result.replayed for result in results] == [False, True]
    assert errors_of(results[0]) == errors_of(results[1]) == {("UNDECODABLE", ""): []}


EMPTY: dict[str, Send] = {
    "columns": lambda model: json_batch([], model=model).__class__(
        kind=1, model=model, columns=batch_pb2.ColumnBatch()
    ),
    "rows": lambda model: batch_pb2.Batch(kind=1, model=model, rows=batch_pb2.RowBatch()),
    "json": lambda model: json_batch([], model=model),
}


@pytest.mark.parametrize("form", EMPTY)
async def test_a_form_without_rows_is_named(form: str, client: WireClient, name: str) -> None:
    await client.register(name)
    sent = EMPTY[form](name)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.publish(sent)
    assert (caught.value.code(), told(caught.value.trailing_metadata())[0]) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "EMPTY_BATCH",
    )
    stream = client.stream()
    await stream.open()
    sent.seq = 1
    result = await stream.settle(sent)
    assert (result.rows, errors_of(result)) == (0, {("EMPTY_BATCH", ""): []})
    assert await stream.settle(json_batch(events(1), seq=2, model=name)) is None


async def test_a_batch_without_a_form_consumes_its_seq_and_nothing_else(client: WireClient, name: str) -> None:
    await client.register(name)
    stream = client.stream()
    await stream.open()
    assert await stream.settle(batch_pb2.Batch(seq=1, kind=batch_pb2.RECORD_KIND_EVENTS, model=name)) is None
    assert await stream.settle(json_batch(events(1), seq=2, model=name)) is None
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.publish(batch_pb2.Batch(kind=batch_pb2.RECORD_KIND_EVENTS, model=name))
    assert told(caught.value.trailing_metadata())[0] == "EMPTY_BATCH"


async def test_too_many_bytes_are_named_and_kept(client: WireClient, database: asyncpg.Connection, name: str) -> None:
    await client.register(name)
    sent = json_batch(events(10, note="n" * 7_000), model=name, seq=1)
    assert MAX_BYTES < sent.ByteSize() < 2 * MAX_BYTES
    bad = Bad(lambda _: sent, {("BATCH_TOO_LARGE", ""): list(range(10))}, rows=10)
    producer, stream = str(uuid4()), client.stream()
    await stream.open(producer)
    await check_outcome(await stream.settle(sent), bad, sent, database, producer)
    assert await stream.settle(json_batch(events(1), seq=2, model=name)) is None
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.publish(sent)
    reason, status = told(caught.value.trailing_metadata())
    assert (caught.value.code(), reason) == (grpc.StatusCode.INVALID_ARGUMENT, "BATCH_TOO_LARGE")
    assert not is_retryable(status)


async def test_a_message_that_is_not_even_read_ends_the_stream_and_costs_nothing(client: WireClient, name: str) -> None:
    await client.register(name)
    producer, stream = str(uuid4()), client.stream()
    await stream.open(producer)
    assert await stream.settle(json_batch(events(1), seq=1, model=name)) is None
    await stream.batch(json_batch(events(1, first=1, note="n" * 3 * MAX_BYTES), seq=2, model=name))
    code, reason, _ = await stream.end()
    assert (code, reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "")  # gRPC's own words: there is no ErrorInfo
    again = client.stream()
    assert (await again.open(producer)).last_committed_seq == 1
    assert await again.settle(json_batch(events(1, first=1), seq=2, model=name)) is None


@pytest.mark.parametrize(
    ("first", "then", "expected"), [(2, None, "1"), (0, None, "1"), (1, 1, "2"), (1, 3, "2"), (1, 0, "2")]
)
async def test_a_wrong_seq_ends_the_stream_and_names_the_next(
    first: int, then: int | None, expected: str, client: WireClient, name: str
) -> None:
    await client.register(name)
    producer, stream = str(uuid4()), client.stream()
    await stream.open(producer)
    if then is not None:
        assert await stream.settle(json_batch(events(1), seq=first, model=name)) is None
    await stream.batch(json_batch(events(1, first=1), seq=first if then is None else then, model=name))
    code, reason, status = await stream.end()
    assert (code, reason, is_retryable(status)) == (grpc.StatusCode.OUT_OF_RANGE, "SEQ_GAP", False)
    again = client.stream()
    assert (await again.open(producer)).last_committed_seq == int(expected) - 1
    assert await again.settle(json_batch(events(1, first=1), seq=int(expected), model=name)) is None


NO_OPEN: dict[str, tuple[pb.IngestRequest, grpc.StatusCode, str]] = {
    "a batch": (
        pb.IngestRequest(batch=json_batch(events(1), seq=1)),
        grpc.StatusCode.INVALID_ARGUMENT,
        "OPEN_EXPECTED",
    ),
    "a report": (pb.IngestRequest(report=pb.Report()), grpc.StatusCode.INVALID_ARGUMENT, "OPEN_EXPECTED"),
    "nothing": (pb.IngestRequest(), grpc.StatusCode.INVALID_ARGUMENT, "OPEN_EXPECTED"),
    "no uuid": (
        pb.IngestRequest(open=pb.Open(producer_id="worker-1")),
        grpc.StatusCode.INVALID_ARGUMENT,
        "PRODUCER_ID_INVALID",
    ),
    "no project": (
        pb.IngestRequest(open=pb.Open(producer_id=str(uuid4()), project="nobodys")),
        grpc.StatusCode.PERMISSION_DENIED,
        "PROJECT_DENIED",
    ),
    "a project no database has": (
        pb.IngestRequest(open=pb.Open(producer_id=str(uuid4()), project="main\0")),
        grpc.StatusCode.PERMISSION_DENIED,
        "PROJECT_DENIED",
    ),
}


@pytest.mark.parametrize("opening", NO_OPEN)
async def test_a_stream_that_does_not_begin_with_a_good_open_is_told(opening: str, client: WireClient) -> None:
    message, code, reason = NO_OPEN[opening]
    stream = client.stream()
    await stream.send(message)
    assert (await stream.end())[:2] == (code, reason)


async def test_what_a_client_calls_itself_ends_no_stream(client: WireClient, name: str) -> None:
    await client.register(name)
    stream = client.stream()
    opened = await stream.open(client="c\0" * 100)
    assert opened.last_committed_seq == 0
    assert await stream.settle(json_batch(events(1), seq=1, model=name)) is None


@pytest.mark.parametrize("message", [pb.IngestRequest(open=pb.Open(producer_id=str(uuid4()))), pb.IngestRequest()])
async def test_a_message_out_of_turn_ends_the_stream(message: pb.IngestRequest, client: WireClient) -> None:
    stream = client.stream()
    await stream.open()
    await stream.send(message)
    assert (await stream.end())[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_UNEXPECTED")


async def test_unreadable_bytes_after_the_open_end_the_stream(client: WireClient) -> None:
    call = client.channel.stream_stream("/headrace.v1.IngestService/Ingest", None, pb.IngestResponse.FromString)()
    await call.write(pb.IngestRequest(open=pb.Open(producer_id=str(uuid4()))).SerializeToString())
    await call.write(b"\xff\xff\xff")
    assert (await WireStream(call).end())[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_UNREADABLE")


async def test_a_request_id_that_is_no_uuid_is_told(client: WireClient, name: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.publish(json_batch(events(1), model=name), "once")
    assert (caught.value.code(), told(caught.value.trailing_metadata())[0]) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "REQUEST_ID_INVALID",
    )


@pytest.mark.parametrize("project", ["nobodys", "main\0"])
async def test_a_project_that_is_not_there_is_denied(project: str, client: WireClient, name: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.publish(json_batch(events(1), model=name), project=project)
    assert (caught.value.code(), told(caught.value.trailing_metadata())[0]) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "PROJECT_DENIED",
    )


async def test_a_request_id_with_other_bytes_is_told(client: WireClient, name: str) -> None:
    await client.register(name)
    request = str(uuid4())
    assert (await client.publish(json_batch(events(1), model=name), request)).stored == 1
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.publish(json_batch(events(2), model=name), request)
    assert (caught.value.code(), told(caught.value.trailing_metadata())[0]) == (
        grpc.StatusCode.ALREADY_EXISTS,
        "REQUEST_ID_REUSED",
    )
