"""The fake service answers as the real one: one scenario through the SDK against both, verdict beside verdict."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, fields
from datetime import UTC, datetime

import headrace
from headrace.testing import FakeService
from support.service import running_service

AT = datetime(2026, 1, 1, tzinfo=UTC)
SCHEMA = headrace.Schema(
    features={"distance": "float64", "carrier": "category", "stops": "int64", "embedding": "vector(2)"},
    predictions={"score": "float64"},
    labels={"late": "bool", "minutes": "float64"},
)


@dataclass(frozen=True)
class Verdicts:
    """What a caller of publish() is told, without the words."""

    stored: int
    duplicate: int
    conflict: int
    rejected: int
    joined: int
    parked: int
    duplicate_rows: list[int]
    conflict_rows: list[int]
    errors: list[tuple[str, str, list[int]]]

    @classmethod
    def of(cls, result: headrace.PublishResult) -> Verdicts:
        plain = {field.name: getattr(result, field.name) for field in fields(cls) if field.name != "errors"}
        return cls(errors=sorted((e.reason, e.column, e.rows) for e in result.errors), **plain)


def event(event_id: str, **cells: object) -> dict[str, object]:
    return {"event_id": event_id, "event_time": AT, **cells}


def conversation(client: headrace.Client) -> list[Verdicts]:
    """Speak about everything the fake claims to know."""
    append = client.register(
        headrace.Schema(features={"x": "float64"}), name="appended", identity=headrace.Identity.APPEND
    )
    model = client.register(SCHEMA, name="flights", version="v1")
    said: list[headrace.PublishResult] = []

    def publish(*rows: dict[str, object], update: bool = False, to: headrace.Model = model) -> None:
        said.append(to.publish(rows, labels=None if update else [], update=update, timeout=30))

    publish(event("a", distance=1.0, carrier="AA"), event("b", distance=float("nan")), event("c", embedding=[1.0, 2.0]))
    publish(event("a", distance=1.0, carrier="AA", trace_id="t"), event("b", distance=float("nan")), event("d"))
    publish(event("a", distance=2.0, carrier="AA"), {**event("a"), "event_time": datetime(2026, 1, 2, tzinfo=UTC)})
    publish(event("e"), event("e"), event("f", stops=1), event("f", stops=2))
    publish(event("g", distance="far"), event("h", stops=1.5), event("i", carrier=7), event("j", embedding=[1.0]))
    publish(event("k", speed=1.0), event("l", late=True), event("m", observed_time=AT), event("x" * 129), event(""))
    publish(*(event("n", media_bytes=media) for media in (b"\0", b"\0", b"\1")))
    publish({"distance": 1.0}, {"distance": 2.0})
    publish({"event_id": "a", "late": True}, {"event_id": "nowhere", "late": False}, update=True)
    publish({"event_id": "a", "late": True}, {"event_id": "nowhere", "late": False}, update=True)
    publish({"event_id": "a", "late": False}, {"event_id": "a", "late": True, "source": "desk"}, update=True)
    publish({"event_id": "a", "late": True}, {"event_id": "a", "late": True, "minutes": 3.0}, update=True)
    publish({"event_id": "b", "label_time": AT, "late": True}, {"event_id": "b", "late": True}, update=True)
    publish({"event_id": "a", "late": "yes"}, {"event_id": "a", "score": 0.5, "late": True}, update=True)
    publish({"event_id": "a", "later": True, "late": True}, {"event_id": "a", "source": "desk"}, update=True)
    publish(event("nowhere"), event("somewhere"))
    publish(event("a", x=1.0), event("a", x=1.0), event("a", x=2.0), to=append)
    publish({"event_id": "a", "late": True}, to=append, update=True)
    return list(map(Verdicts.of, said))


def spoken(address: str) -> list[Verdicts]:
    with headrace.connect(address) as client:
        return conversation(client)


def refusals(address: str) -> list[bool | str]:
    """Return what a missing model and a changed type are answered."""
    said: list[bool | str] = []
    with headrace.connect(address) as client:
        try:
            client.get_model("nothing")
        except headrace.ModelNotFoundError as error:
            said += [error.reason, error.retryable]
        client.register(headrace.Schema(features={"x": "float64"}), name="typed")
        try:
            client.register(headrace.Schema(features={"x": "string"}), name="typed")
        except headrace.ServiceError as error:
            said += [error.reason, error.retryable]
    return said


async def test_the_fake_gives_the_verdicts_of_the_real_service(database_url: str) -> None:
    async with running_service(database_url) as real:
        expected = await asyncio.to_thread(spoken, real.grpc)
        refused = await asyncio.to_thread(refusals, real.grpc)
    with FakeService() as fake:
        assert await asyncio.to_thread(spoken, fake.address) == expected
        assert await asyncio.to_thread(refusals, fake.address) == refused
    assert sum(said.stored for said in expected) > 10
    assert refused[0] == "MODEL_NOT_FOUND"
