"""The asyncio face is the same core: it awaits, and leaves nothing behind when an await is cancelled."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest

import headrace
import headrace.aio
from headrace import Schema, Settings
from headrace.testing import FakeService
from support.eventually import eventually


@pytest.fixture
async def client(service: FakeService) -> AsyncIterator[headrace.aio.AsyncClient]:
    made = headrace.aio.connect(service.address, settings=Settings(backoff_initial_s=0.01, backoff_max_s=0.05))
    yield made
    service.release_acks()
    with suppress(headrace.UnackedError):
        await made.close(2)


async def test_log_needs_no_await_and_flush_does(service: FakeService, client: headrace.aio.AsyncClient) -> None:
    model = client.model("m", version="v1")
    event_id = model.log({"x": 1.0}, prediction=0.5)
    model.log_label(event_id, late=True)
    await client.flush(10)
    assert service.ledger.events("m")[0]["event_id"] == event_id
    assert client.stats().stored == 2


async def test_publish_answers_for_every_row_and_tells_progress_on_the_loop(
    service: FakeService, client: headrace.aio.AsyncClient
) -> None:
    service.behaviour.suggested_batch_rows = 10
    told: list[tuple[int, int]] = []
    result = await client.model("m").publish(
        [{"x": float(n)} for n in range(25)],
        timeout=10,
        on_progress=lambda rows: told.append((rows, threading.get_ident())),
    )
    await asyncio.sleep(0)
    assert (result.stored, len(result.event_ids)) == (25, 25)
    assert told[-1] == (25, threading.get_ident())


async def test_the_registry(client: headrace.aio.AsyncClient) -> None:
    schema = Schema(features={"x": "float64"})
    for name in ("a", "b", "c"):
        assert (await client.register(schema, name=name)).info is not None
    assert (await client.get_model("b")).name == "b"
    assert [info.name async for info in client.list_models()] == ["a", "b", "c"]
    info = await client.update_model(
        "a", add=[headrace.Column("y", headrace.ColumnKind.FEATURE, headrace.ValueType.BOOL)]
    )
    assert len(info.schema.columns) == 2
    with pytest.raises(headrace.ModelNotFoundError):
        await client.get_model("nowhere")


async def test_many_awaits_run_side_by_side(service: FakeService, client: headrace.aio.AsyncClient) -> None:
    model = client.model("m")
    results = await asyncio.gather(*(model.publish([{"x": float(n)}], timeout=10) for n in range(10)))
    assert sum(result.stored for result in results) == 10 == len(service.ledger.events("m"))


async def test_the_loop_goes_on_while_a_flush_waits(service: FakeService, client: headrace.aio.AsyncClient) -> None:
    service.hold_acks()
    client.model("m").log({"x": 1.0})
    flushing = asyncio.create_task(client.flush(10))
    await asyncio.sleep(0)
    assert not flushing.done()
    service.release_acks()
    await flushing


async def test_a_cancelled_await_ends_its_thread(service: FakeService, client: headrace.aio.AsyncClient) -> None:
    service.hold_acks()
    client.model("m").log({"x": 1.0})
    for wait in (client.flush(600), client.model("m").publish([{"x": 2.0}])):
        waiting = asyncio.create_task(wait)
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await asyncio.to_thread(eventually, lambda: not [t for t in threading.enumerate() if t.name == "headrace-aio"])
    service.release_acks()
    await client.flush(10)


async def test_timeouts_and_closed_clients_raise_as_in_the_sync_face(
    service: FakeService, client: headrace.aio.AsyncClient
) -> None:
    service.hold_acks()
    client.model("m").log({"x": 1.0})
    with pytest.raises(headrace.FlushTimeout):
        await client.flush(0.05)
    service.release_acks()
    await client.close(10)
    with pytest.raises(headrace.ClosedError):
        await client.flush()


async def test_callbacks_are_called_on_the_loop(service: FakeService) -> None:
    heard: list[int] = []
    arrived = asyncio.Event()

    def on_result(outcome: headrace.BatchOutcome) -> None:
        heard.append(threading.get_ident())
        arrived.set()

    async with headrace.aio.connect(service.address, on_result=on_result) as client:
        client.model("m").log({"x": 1.0})
        await client.flush(10)
        await asyncio.wait_for(arrived.wait(), 10)
    assert heard == [threading.get_ident()]


def test_a_callback_needs_a_running_loop() -> None:
    with pytest.raises(RuntimeError, match="loop"):
        headrace.aio.connect(on_drop=lambda *_: None)


async def test_the_context_manager_lets_the_bodys_error_through(service: FakeService) -> None:
    async def body() -> None:
        async with headrace.aio.connect(service.address) as client:
            client.model("m").log({"x": 1.0})
            raise KeyError("the body's")

    with pytest.raises(KeyError):
        await body()
    assert len(service.ledger.events("m")) == 1


def test_one_client_serves_loop_after_loop(service: FakeService) -> None:
    client = headrace.aio.connect(service.address)

    async def log_and_flush() -> None:
        client.model("m").log({"x": 1.0})
        await client.flush(10)

    for _ in range(3):
        asyncio.run(log_and_flush())
    asyncio.run(client.close())
    assert len(service.ledger.events("m")) == 3


def test_both_faces_take_the_same_arguments() -> None:
    def parameters(function: Callable[..., Any]) -> list[str]:
        return list(inspect.signature(function).parameters)

    assert parameters(headrace.aio.AsyncModel.publish) == parameters(headrace.Model.publish)
    for method in ("model", "register", "get_model", "update_model", "list_models", "flush", "close"):
        assert parameters(getattr(headrace.aio.AsyncClient, method)) == parameters(getattr(headrace.Client, method))
    assert parameters(headrace.aio.connect) == parameters(headrace.connect)
