"""Small media that come with their event, in every form, on streams and by Publish: stored, compared, refused, read."""

import asyncio
import base64
import json
import urllib.request
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pandas as pd
import pytest
import pytest_asyncio

import headrace
from headrace.v1 import batch_pb2
from headrace.v1.error_reason_pb2 import ErrorReason
from support.service import ServiceProcess, running_service
from support.timescale import TimescaleCluster
from support.wire_client import WireClient, column, json_batch, rows_of, wire_client
from support.wire_forms import as_columns, as_rows

pytestmark = pytest.mark.asyncio(loop_scope="module")

IMAGE = b"\x89PNG\r\n\x1a\n\0\xff"
LIMIT = 256 * 1024
AT = 1_356_998_400_000_000
FORMS = ["columns", "rows", "json"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(timescale: TimescaleCluster) -> AsyncIterator[str]:
    async with timescale.fresh_database() as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(url: str) -> AsyncIterator[ServiceProcess]:
    async with running_service(url) as service:
        yield service


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(service: ServiceProcess) -> AsyncIterator[WireClient]:
    async with wire_client(service.grpc) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(service: ServiceProcess, url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


@pytest_asyncio.fixture(loop_scope="module")
async def model(client: WireClient) -> str:
    """A model that knows nothing of media."""
    return (await client.register(f"m{uuid4().hex}", columns=[column("p", "FLOAT64", "PREDICTION")])).name


def images(model: str, form: str, cells: list[Any], seq: int = 0) -> batch_pb2.Batch:
    """Events i0 … with these media, None for none; texts stay texts."""
    ids = [f"i{number}" for number in range(len(cells))]
    if form == "json":
        texts = [base64.b64encode(cell).decode() if isinstance(cell, bytes) else cell for cell in cells]
        return json_batch([_row(id_, text) for id_, text in zip(ids, texts, strict=True)], seq, model)
    kind = "string" if any(isinstance(cell, str) for cell in cells) else "bytes"
    of = as_columns if form == "columns" else as_rows
    batch = of(
        {"event_id": ("string", ids), "event_time": ("timestamp", [AT] * len(ids)), "media_bytes": (kind, cells)}
    )
    batch.model, batch.seq = model, seq
    return batch


def _row(event_id: str, media: str | None) -> dict[str, Any]:
    return {"event_id": event_id, "event_time": AT / 1e6, "media_bytes": media}


async def stored(database: asyncpg.Connection, model: str) -> list[bytes | None]:
    return [row[0] for row in await database.fetch(f"SELECT media_bytes FROM main.{model} ORDER BY event_id")]


@pytest.mark.parametrize("form", FORMS)
async def test_a_model_gets_a_column_for_media_with_the_first_that_come(
    client: WireClient, database: asyncpg.Connection, model: str, form: str
) -> None:
    stream = client.stream()
    await stream.open()
    largest = bytes(range(256)) * (LIMIT // 256)
    cells = [IMAGE, None, b"", largest]
    assert await stream.settle(images(model, form, cells, 1)) is None
    assert await stored(database, model) == cells
    again = await client.publish(images(model, form, cells))
    assert (again.duplicate, again.conflict, again.rejected) == (4, 0, 0)
    other = await client.publish(images(model, form, [IMAGE + b"1", b"x", b"", largest]))
    assert (rows_of(other.duplicate_rows), rows_of(other.conflict_rows)) == ([2, 3], [0, 1])
    assert await stored(database, model) == cells


@pytest.mark.parametrize(
    "fault",
    [
        *((form, b"\0" * (LIMIT + 1), f"{LIMIT + 1} bytes; at most {LIMIT}") for form in FORMS),
        ("json", "no base64!", "no base64"),
        ("columns", "iVBORw0KGgo", "no base64"),
        ("rows", "é", "no base64"),
    ],
)
async def test_media_that_are_none_are_refused_by_name(
    client: WireClient, database: asyncpg.Connection, model: str, fault: tuple[str, bytes | str, str]
) -> None:
    form, cell, words = fault
    good: bytes | str = base64.b64encode(IMAGE).decode() if isinstance(cell, str) else IMAGE
    stream, producer = client.stream(), str(uuid4())
    await stream.open(producer)
    for result, origin in (
        (await stream.settle(images(model, form, [good, cell], 1)), producer),
        (await client.publish(images(model, form, [None, cell]), request := str(uuid4())), request),
    ):
        (errors,) = result.errors
        assert (ErrorReason.Name(errors.reason), errors.column) == ("ERROR_REASON_MEDIA_INVALID", "media_bytes")
        assert words in errors.message
        assert rows_of(errors.rows) == [1]
        letters = await database.fetch(
            "SELECT row_index, reason FROM headrace.dead_letters WHERE $1 IN (producer_id, request_id)", UUID(origin)
        )
        assert [tuple(letter) for letter in letters] == [(1, "MEDIA_INVALID")]
    assert await stored(database, model) == [IMAGE]


async def test_bytes_in_a_column_of_another_type_are_of_the_wrong_type(client: WireClient) -> None:
    model = f"m{uuid4().hex}"
    await client.register(model, columns=[column("note", "STRING"), column("more", "JSON")])
    for name, reason in (("note", "WRONG_TYPE"), ("more", "INVALID_JSON")):
        batch = images(model, "columns", [IMAGE])
        batch.columns.columns[2].name = name
        (errors,) = (await client.publish(batch)).errors
        assert (ErrorReason.Name(errors.reason), errors.column) == (f"ERROR_REASON_{reason}", name)


async def test_a_refused_row_keeps_its_media_and_is_stored_with_them_when_it_is_replayed(
    service: ServiceProcess, client: WireClient, database: asyncpg.Connection, model: str
) -> None:
    batch = images(model, "columns", [IMAGE])
    batch.columns.columns.add(name="new").float64s.values.append(1.5)
    assert (await client.publish(batch)).rejected == 1

    def replay() -> tuple[str, int]:
        with headrace.connect(service.grpc) as sdk:
            (letter,) = sdk.dead_letters.list(model=model)
            shown = sdk.dead_letters.get(letter.id).rows[0]["media_bytes"]
            sdk.register(headrace.Schema(features={"new": "float64"}), name=model)
            return shown, sdk.dead_letters.replay([letter.id]).stored

    assert await asyncio.to_thread(replay) == (base64.b64encode(IMAGE).decode(), 1)
    assert await stored(database, model) == [IMAGE]


async def test_the_sdk_logs_publishes_and_reads_media(service: ServiceProcess, database: asyncpg.Connection) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)

    def run() -> None:
        with headrace.connect(service.grpc) as client:
            model = client.register(headrace.Schema(predictions={"p": "float64"}, labels={"ok": "bool"}), name="images")
            media = headrace.Media(data=IMAGE, content_type="image/png", height=8, width=4)
            model.log(prediction=0.5, media=media, event_id="a", event_time=moment)
            model.log(prediction=0.5, event_id="b", event_time=moment)
            client.flush(30)
            frame = pd.DataFrame({"event_id": ["c", "d"], "p": [0.1, 0.2], "media_bytes": [b"\0c", None]})
            assert model.publish(frame.assign(event_time=moment), predictions="p").stored == 2
            rows = [{"event_id": "e", "event_time": moment, "p": 0.3, "media_bytes": b"e"}]
            assert model.publish(rows, predictions="p").stored == 1
            model.log_label("a", ok=True)
            client.flush(30)
            assert client.stats().rejected == 0
            assert model.publish(rows, predictions="p", validate_only=True).duplicate == 1
            event = model.event("a")
            assert (event.values["media_bytes"], event.values["media_height"]) == (IMAGE, 8)
            assert "media_bytes" not in model.events_by_id(["a", "c"])[0].values
            assert "media_bytes" not in model.events().to_list()[0]
            wanted = model.events(columns=["media_bytes"])
            expected = {"a": IMAGE, "b": None, "c": b"\0c", "d": None, "e": b"e"}
            assert {row["event_id"]: row["media_bytes"] for row in wanted} == expected
            table = wanted.to_arrow()
            assert dict(zip(table["event_id"].to_pylist(), table["media_bytes"].to_pylist(), strict=True)) == expected

        with urllib.request.urlopen(f"http://{service.http}/v1/models/images/events/a", timeout=20) as answer:
            (shown,) = json.load(answer)["events"]
            assert shown["media_bytes"] == base64.b64encode(IMAGE).decode()

    await asyncio.to_thread(run)
    joined = await database.fetchrow("SELECT media_bytes, ok FROM main.images_joined WHERE event_id = 'a'")
    assert tuple(joined) == (IMAGE, True)


async def test_many_large_media_are_read_whatever_their_size(
    service: ServiceProcess, client: WireClient, model: str
) -> None:
    text = base64.b64encode(b"x" * LIMIT).decode()
    for start in range(0, 40, 10):
        batch = json_batch([_row(f"i{number}", text) for number in range(start, start + 10)], model=model)
        assert (await client.publish(batch)).stored == 10

    def sizes() -> list[int]:
        with headrace.connect(service.grpc) as sdk:
            return [len(row["media_bytes"]) for row in sdk.model(model).events(columns=["media_bytes"])]

    assert await asyncio.to_thread(sizes) == [LIMIT] * 40
