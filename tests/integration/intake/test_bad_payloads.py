"""What tasks, roles and media ask of values, through a real service: each fault has its named error, on a stream and by
Publish; its row is a dead letter, and the good row beside it is stored.
"""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import asyncpg
import pytest
import pytest_asyncio

from headrace.v1 import batch_pb2, model_pb2
from headrace.v1.error_reason_pb2 import ErrorReason
from support.service import running_service
from support.timescale import TimescaleCluster
from support.wire_client import WireClient, column, events, json_batch, rows_of, wire_client

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOX = [10, 20.5, 30, 40]
CAT = {"classes": ["cat"], "boxes": [BOX], "scores": [0.9]}

VISION = {
    "task": model_pb2.TASK_TYPE_OBJECT_DETECTION,
    "classes": ["cat", "dog"],
    "columns": [
        column("embedding", "VECTOR", dimension=3),
        column("found", "JSON", "PREDICTION"),
        column("drawn", "JSON", "LABEL"),
    ],
}
BINARY = {
    "task": model_pb2.TASK_TYPE_BINARY_CLASSIFICATION,
    "classes": ["on time", "late"],
    "columns": [
        column("p", "FLOAT64", "PREDICTION"),
        column("both", "JSON", "PREDICTION"),
        column("verdict", "CATEGORY", "PREDICTION"),
        column("truth", "STRING", "LABEL"),
    ],
}
RANKING = {
    "task": model_pb2.TASK_TYPE_RANKING,
    "columns": [
        column("session", "STRING", role="GROUP_ID"),
        column("item_id", "STRING"),
        column("rank", "INT64", "PREDICTION"),
        column("clicks", "INT64", "LABEL"),
    ],
}
UNLABELLED = {"columns": [column("p", "FLOAT64", "PREDICTION")], "task": model_pb2.TASK_TYPE_REGRESSION}


class Fault(NamedTuple):
    """A bad row after a good one, and what is said of it.

    Attributes:
        model: Settings of the model.
        good: Cells of the good row.
        bad: Cells of the bad row.
        reason: Its reason.
        column: The column at fault.
        words: What the message says, among other things.
    """

    model: dict[str, Any]
    good: dict[str, Any]
    bad: dict[str, Any]
    reason: str
    column: str
    words: str
    kind: str = "EVENTS"


FAULTS: dict[str, Fault] = {
    "more boxes than classes": Fault(
        VISION, {"found": CAT}, {"found": CAT | {"boxes": [BOX, BOX]}}, "OBJECT_COUNT", "found", "2 boxes"
    ),
    "a box of three numbers": Fault(
        VISION, {"boxes": CAT}, {"boxes": CAT | {"boxes": [[1, 2, 3]]}}, "GEOMETRY_INVALID", "boxes", "[1, 2, 3]"
    ),
    "boxes that are none": Fault(
        VISION, {"prediction": CAT}, {"prediction": [BOX]}, "PAYLOAD_INVALID", "prediction", "classes and boxes"
    ),
    "an object of an unknown class": Fault(
        VISION, {"found": CAT}, {"found": CAT | {"classes": ["cow"]}}, "UNKNOWN_CLASS", "found", "'cow'"
    ),
    "a drawn object of an unknown class": Fault(
        VISION, {"label": CAT}, {"label": CAT | {"classes": ["cow"]}}, "UNKNOWN_CLASS", "label", "'cow'", "LABELS"
    ),
    "a vector of the wrong dimension": Fault(
        VISION, {"embedding": [1, 2, 3]}, {"embedding": [1, 2]}, "VECTOR_DIMENSION", "embedding", "2 numbers"
    ),
    "a probability of an unknown class": Fault(
        BINARY,
        {"probabilities": {"late": 0.8, "on time": 0.2}},
        {"probabilities": {"late": 0.8, "onn time": 0.2}},
        "UNKNOWN_CLASS",
        "probabilities",
        "'onn time'",
    ),
    "a probability of two": Fault(
        BINARY, {"both": {"late": 1}}, {"both": {"late": 2}}, "PROBABILITY_OUT_OF_RANGE", "both", "2"
    ),
    "a score that is none": Fault(BINARY, {"p": 0.5}, {"p": 1.5}, "PROBABILITY_OUT_OF_RANGE", "p", "1.5"),
    "a predicted class nobody knows": Fault(
        BINARY, {"verdict": "late"}, {"verdict": "early"}, "UNKNOWN_CLASS", "verdict", "on time"
    ),
    "a label of a class nobody knows": Fault(
        BINARY, {"truth": "late"}, {"truth": "early"}, "UNKNOWN_CLASS", "truth", "'early'", "LABELS"
    ),
    "an item without a group": Fault(
        RANKING, {"session": "s1", "rank": 1}, {"rank": 2}, "GROUP_ID_REQUIRED", "session", "no session"
    ),
    "a rank of zero": Fault(
        RANKING, {"session": "s1", "rank": 1}, {"session": "s1", "rank": 0}, "VALUE_OUT_OF_RANGE", "rank", "1 or more"
    ),
    "a hash that is none": Fault(
        UNLABELLED, {"media_sha256": "aB" * 32}, {"media_sha256": "ab"}, "MEDIA_INVALID", "media_sha256", "64 hex"
    ),
    "a picture without a height": Fault(
        UNLABELLED, {"media_height": 800}, {"media_height": 0}, "MEDIA_INVALID", "media_height", "1 or more"
    ),
    "a content type that is none": Fault(
        UNLABELLED,
        {"media_content_type": "image/png"},
        {"media_content_type": "png"},
        "MEDIA_INVALID",
        "media_content_type",
        "image/png",
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url(timescale: TimescaleCluster) -> AsyncIterator[str]:
    async with timescale.fresh_database() as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(url: str) -> AsyncIterator[WireClient]:
    async with running_service(url) as service, wire_client(service.grpc) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(client: WireClient, url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


@pytest.fixture
def name() -> str:
    return f"m{uuid4().hex}"


def batch_of(fault: Fault, model: str, seq: int = 0) -> batch_pb2.Batch:
    rows = [event | cells for event, cells in zip(events(2), (fault.good, fault.bad), strict=True)]
    for row in rows:
        del row["dep_delay"]
    return json_batch(rows, seq, model, fault.kind)


async def check(result: Any, fault: Fault, database: asyncpg.Connection, origin: str) -> None:
    (errors,) = result.errors
    assert ErrorReason.Name(errors.reason).removeprefix("ERROR_REASON_") == fault.reason
    assert errors.column == fault.column
    assert fault.words in errors.message
    assert rows_of(errors.rows) == [1]
    assert (result.rows, result.stored, result.rejected) == (2, 1, 1)
    letters = await database.fetch(
        "SELECT row_index, reason FROM headrace.dead_letters WHERE $1 IN (producer_id, request_id)", UUID(origin)
    )
    assert [tuple(letter) for letter in letters] == [(1, fault.reason)]


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_bad_value_is_told_by_name(
    fault: Fault, client: WireClient, database: asyncpg.Connection, name: str
) -> None:
    await client.register(name, **fault.model)
    request, producer = str(uuid4()), str(uuid4())
    await check(await client.publish(batch_of(fault, name), request), fault, database, request)

    await client.register(f"{name}s", **fault.model)
    stream = client.stream()
    await stream.open(producer)
    await check(await stream.settle(batch_of(fault, f"{name}s", seq=1)), fault, database, producer)


async def test_a_label_for_a_model_that_has_none(client: WireClient, name: str) -> None:
    await client.register(name, **UNLABELLED)
    rows = [{"event_id": "e0", "late": True}]
    published = await client.publish(json_batch(rows, model=name, kind="LABELS"))
    stream = client.stream()
    await stream.open()
    streamed = await stream.settle(json_batch(rows, 1, name, "LABELS"))
    for result in (published, streamed):
        (errors,) = result.errors
        assert ErrorReason.Name(errors.reason) == "ERROR_REASON_NO_LABELS"
        assert (result.stored, result.rejected) == (0, 1)


async def test_a_task_without_the_column_it_needs_is_refused(client: WireClient, name: str) -> None:
    with pytest.raises(Exception, match="OBJECT_DETECTION needs a column of the role BOXES"):
        await client.register(name, columns=[], task=model_pb2.TASK_TYPE_OBJECT_DETECTION)
