"""A real gRPC server with the interceptor, handlers of every kind, and a real client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from headrace_server.errors import DrainingError, ModelInvalidError, SeqGapError
from headrace_server.intake.interceptors import CallInterceptor
from headrace_server.ops.metrics import Metrics

SERVICE = "test.v1.EchoService"


class Echo:
    """Handlers on raw bytes, one of each kind and style; each does what its request says."""

    def __init__(self):
        self.cancelled = asyncio.Event()
        self.began = asyncio.Event()

    async def act(self, request):
        match request:
            case b"gap":
                raise SeqGapError("seq 7 after 5", metadata={"expected_seq": "6"})
            case b"draining":
                raise DrainingError("this replica is stopping")
            case b"fields":
                raise ModelInvalidError("the model cannot be made", fields={"columns[0].dimension": "is missing"})
            case b"defect":
                raise ZeroDivisionError("secret of the house")
            case b"hang":
                self.began.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    self.cancelled.set()
        return request

    async def unary(self, request, context):
        return await self.act(request)

    async def gather(self, requests, context):
        return b"".join([await self.act(request) async for request in requests])

    async def spread(self, request, context):
        for _ in range(3):
            yield await self.act(request)

    async def generate(self, requests, context):
        async for request in requests:
            yield await self.act(request)

    async def write(self, requests, context):
        while (request := await context.read()) is not grpc.aio.EOF:
            await context.write(await self.act(request))

    async def own_abort(self, request, context):
        await context.abort(grpc.StatusCode.NOT_FOUND, "by hand")

    def handlers(self):
        return {
            "Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "Gather": grpc.stream_unary_rpc_method_handler(self.gather),
            "Spread": grpc.unary_stream_rpc_method_handler(self.spread),
            "Generate": grpc.stream_stream_rpc_method_handler(self.generate),
            "Write": grpc.stream_stream_rpc_method_handler(self.write),
            "OwnAbort": grpc.unary_unary_rpc_method_handler(self.own_abort),
        }


class Door:
    def __init__(self, channel, echo, metrics):
        self.channel, self.echo, self.metrics = channel, echo, metrics

    def unary(self, name, request):
        return self.channel.unary_unary(f"/{SERVICE}/{name}")(request)

    def stream(self, name, *requests):
        async def sending() -> AsyncIterator[bytes]:
            for request in requests:
                yield request

        return self.channel.stream_stream(f"/{SERVICE}/{name}")(sending())

    def count(self, metric, kind, method, **more):
        labels = {"grpc_type": kind, "grpc_service": SERVICE, "grpc_method": method, **more}
        return self.metrics.registry.get_sample_value(metric, labels)

    async def until_handled(self, kind, method, code):
        """Wait until a call is counted: that follows what its client has seen."""
        async with asyncio.timeout(10):
            while self.count("grpc_server_handling_seconds_count", kind, method) != 1:
                await asyncio.sleep(0.001)
        assert self.count("grpc_server_handled_total", kind, method, grpc_code=code) == 1, method


@asynccontextmanager
async def serving():
    echo, metrics = Echo(), Metrics(version="1", instance="test")
    server = grpc.aio.server(interceptors=[CallInterceptor(metrics)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, echo.handlers()),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Door(channel, echo, metrics)
    finally:
        await server.stop(None)


@pytest.fixture
async def door():
    async with serving() as door:
        yield door


async def ended(call):
    last = call.read() if isinstance(call, grpc.aio.StreamStreamCall) else call
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await last
    status = await rpc_status.aio.from_call(call)
    details = {}
    for detail in status.details if status else []:
        kind = getattr(error_details_pb2, detail.TypeName().rpartition(".")[2])
        message = kind()
        assert detail.Unpack(message)
        details[kind] = message
    return caught.value, details


async def test_an_error_arrives_as_rich_status_with_its_reason_and_facts(door):
    error, details = await ended(door.unary("Unary", b"gap"))
    assert error.code() is grpc.StatusCode.OUT_OF_RANGE
    assert error.details() == "seq 7 after 5"
    info = details[error_details_pb2.ErrorInfo]
    assert (info.reason, info.domain, dict(info.metadata)) == ("SEQ_GAP", "headrace", {"expected_seq": "6"})
    assert error_details_pb2.RetryInfo not in details


async def test_a_retryable_error_says_when_to_come_back(door):
    error, details = await ended(door.unary("Unary", b"draining"))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert details[error_details_pb2.RetryInfo].retry_delay.ToMilliseconds() == 100


async def test_offending_fields_are_named(door):
    _, details = await ended(door.unary("Unary", b"fields"))
    (violation,) = details[error_details_pb2.BadRequest].field_violations
    assert (violation.field, violation.description) == ("columns[0].dimension", "is missing")


@pytest.mark.parametrize("style", ["Generate", "Write"])
async def test_a_stream_that_fails_ends_with_the_same_status_in_either_style(door, style):
    call = door.stream(style, b"fine", b"gap")
    assert await call.read() == b"fine"
    error, details = await ended(call)
    assert error.code() is grpc.StatusCode.OUT_OF_RANGE
    assert details[error_details_pb2.ErrorInfo].reason == "SEQ_GAP"
    await door.until_handled("bidi_stream", style, "OUT_OF_RANGE")


async def test_a_defect_is_told_as_an_incident_and_not_in_its_own_words(door, caplog):
    error, details = await ended(door.unary("Unary", b"defect"))
    assert error.code() is grpc.StatusCode.INTERNAL
    incident = details[error_details_pb2.ErrorInfo].metadata["incident"]
    assert incident in error.details()
    assert "secret of the house" not in error.details()
    assert error_details_pb2.RetryInfo not in details


async def test_calls_and_messages_are_counted_for_every_kind_of_method(door):
    assert await door.unary("Unary", b"x") == b"x"
    for style in ("Generate", "Write"):
        assert [response async for response in door.stream(style, b"a", b"b", b"c")] == [b"a", b"b", b"c"]
    assert [_ async for _ in door.channel.unary_stream(f"/{SERVICE}/Spread")(b"x")] == [b"x"] * 3

    async def two():
        yield b"a"
        yield b"b"

    assert await door.channel.stream_unary(f"/{SERVICE}/Gather")(two()) == b"ab"

    for kind, method, received, sent in (
        ("unary", "Unary", 1, 1),
        ("client_stream", "Gather", 2, 1),
        ("server_stream", "Spread", 1, 3),
        ("bidi_stream", "Generate", 3, 3),
        ("bidi_stream", "Write", 3, 3),
    ):
        await door.until_handled(kind, method, "OK")
        assert door.count("grpc_server_started_total", kind, method) == 1, method
        assert door.count("grpc_server_msg_received_total", kind, method) == received, method
        assert door.count("grpc_server_msg_sent_total", kind, method) == sent, method


@pytest.mark.parametrize("style", ["Generate", "Write"])
async def test_a_cancelled_call_stops_its_handler_and_is_counted_as_cancelled(door, style):
    call = door.stream(style, b"hang")
    await asyncio.wait_for(door.echo.began.wait(), 10)
    call.cancel()
    await asyncio.wait_for(door.echo.cancelled.wait(), 10)
    await door.until_handled("bidi_stream", style, "CANCELLED")


async def test_an_abort_by_a_standard_service_keeps_its_code(door):
    error, _ = await ended(door.unary("OwnAbort", b""))
    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "by hand")
    await door.until_handled("unary", "OwnAbort", "NOT_FOUND")


async def test_an_unknown_method_is_unimplemented(door):
    error, _ = await ended(door.unary("Nothing", b""))
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
