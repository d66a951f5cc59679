import asyncio
import signal
import socket

import pytest

from headrace_server.http.server import HttpServer, ListenError

EVENTS = "/v1/models/flight_delay/events"


async def app(scope, receive, send):
    raise AssertionError("not called")


def server(**changes):
    return HttpServer(app, **{"host": "127.0.0.1", "port": 0, "max_connections": 16, "grace_s": 1, **changes})


def test_a_taken_port_is_known_at_bind_and_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=f"127.0.0.1:{port}.*listen.http_port"):
            server(port=port).bind()


def test_an_address_of_another_machine_is_named():
    with pytest.raises(ListenError, match=r"192\.0\.2\.1"):
        server(host="192.0.2.1").bind()


def test_a_port_that_was_never_served_is_given_back():
    first = server()
    port = int(first.bind().rpartition(":")[2])
    first.close()
    first.close()
    second = server(port=port)
    second.bind()
    second.close()


async def test_the_signals_stay_the_service_s(door):
    before = signal.getsignal(signal.SIGTERM)
    assert (await door.get("/healthz")).status == 200
    assert signal.getsignal(signal.SIGTERM) is before


async def test_stopping_answers_what_was_begun(door):
    door.publish.held = asyncio.Event()
    begun = asyncio.create_task(door.post(EVENTS))
    async with asyncio.timeout(20):
        while not door.publish.asked:
            await asyncio.sleep(0.01)
    door.server.stop()
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection(*door.address.split(":"))
            except ConnectionError:  # refused; or reset, when the door was closed while this one stood before it
                break
            writer.close()
            await asyncio.sleep(0.01)
    door.publish.held.set()
    assert (await begun).status == 200


async def test_a_cancelled_server_gives_its_port_back():
    cancelled = server()
    port = int(cancelled.bind().rpartition(":")[2])
    task = asyncio.create_task(cancelled.run())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    again = server(port=port)
    again.bind()
    again.close()
