"""What happens around every call: errors become rich statuses, and the call is counted.

Wraps each handler of the server, whatever its kind: unary, async generator, or a coroutine that uses `context.read()`
and `context.write()`. Handlers raise; nobody but this file aborts a call. Cancellation passes through untouched.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from inspect import isasyncgenfunction
from typing import Any, NoReturn, TypeAlias, cast

import grpc
from grpc.aio import AbortError, ServerInterceptor, ServicerContext

from headrace_server.intake.status import tellable, to_status, trailing_metadata
from headrace_server.ops.metrics import Metrics

Context = ServicerContext[Any, Any]
# Generic for the type checker only.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

# go-grpc-prometheus's words for the four kinds of methods.
TYPES = {
    "unary_unary": "unary",
    "stream_unary": "client_stream",
    "unary_stream": "server_stream",
    "stream_stream": "bidi_stream",
}


class CallInterceptor(ServerInterceptor):
    """Tells errors and counts calls.

    Args:
        metrics: Where the calls are counted.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wrap the method's handler; an unknown method has none, and gRPC answers UNIMPLEMENTED."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        return _wrapped(handler, _Call.of(handler_call_details.method, handler, self._metrics))


@dataclass(frozen=True)
class _Call:
    """One method, and the series that count it."""

    method: str
    labels: tuple[str, str, str]
    metrics: Metrics

    @staticmethod
    def of(method: str, handler: Handler, metrics: Metrics) -> _Call:
        _, service, name = method.split("/", 2)
        return _Call(method, (TYPES[_kind(handler)], service, name), metrics)

    def received(self) -> None:
        self.metrics.grpc_received.labels(*self.labels).inc()

    def sent(self) -> None:
        self.metrics.grpc_sent.labels(*self.labels).inc()

    @asynccontextmanager
    async def around(self, context: Context) -> AsyncIterator[None]:
        self.metrics.grpc_started.labels(*self.labels).inc()
        began = time.monotonic()
        # What it stays at when neither of the lines below is reached: the client, or the server's stop, cancelled.
        code = grpc.StatusCode.CANCELLED
        try:
            yield
            code = _code_set(context)
        except AbortError:
            code = _code_set(context)
            raise
        except Exception as error:  # noqa: BLE001 — the last place where it can be told and logged
            told = to_status(tellable(error, self.method))
            code = _CODES[told.code]
            await _abort(context, code, told)
        finally:
            self.metrics.grpc_handled.labels(*self.labels, code.name).inc()
            self.metrics.grpc_seconds.labels(*self.labels).observe(time.monotonic() - began)


_CODES = {code.value[0]: code for code in grpc.StatusCode}


def _code_set(context: Context) -> grpc.StatusCode:
    # gRPC keeps it as a number, 0 when nothing set it.
    code: Any = context.code()
    return code if isinstance(code, grpc.StatusCode) else _CODES[code or 0]


async def _abort(context: Context, code: grpc.StatusCode, status: Any) -> NoReturn:
    await context.abort(code, status.message, trailing_metadata(status))


def _kind(handler: Handler) -> str:
    return f"{'stream' if handler.request_streaming else 'unary'}_{'stream' if handler.response_streaming else 'unary'}"


def _wrapped(handler: Handler, call: _Call) -> Handler:
    kind = _kind(handler)
    inner = getattr(handler, kind)
    if not handler.response_streaming:
        behavior = _answering(inner, call)
    elif isasyncgenfunction(inner):
        behavior = _generating(inner, call)
    else:
        behavior = _writing(inner, call)
    make = getattr(grpc, f"{kind}_rpc_method_handler")
    wrapped: Handler = make(behavior, handler.request_deserializer, handler.response_serializer)
    return wrapped


def _answering(inner: Any, call: _Call) -> Any:
    async def answer(request: Any, context: Context) -> Any:
        async with call.around(context):
            response = await inner(_counted(request, call), _CountingContext.of(context, call))
            call.sent()
        return response

    return answer


def _generating(inner: Any, call: _Call) -> Any:
    async def generate(request: Any, context: Context) -> AsyncGenerator[Any, None]:
        async with call.around(context):
            requests = _counted(request, call)
            async with aclosing(inner(requests, _CountingContext.of(context, call))) as responses:
                async for response in responses:
                    call.sent()
                    yield response

    return generate


def _writing(inner: Any, call: _Call) -> Any:
    async def write(request: Any, context: Context) -> None:
        async with call.around(context):
            await inner(_counted(request, call), _CountingContext.of(context, call))

    return write


def _counted(request: Any, call: _Call) -> Any:
    if hasattr(request, "__aiter__"):
        return _CountedRequests(request, call)
    call.received()
    return request


class _CountedRequests:
    """The requests of a stream. Reads one only when asked, as the bound on memory needs it."""

    def __init__(self, requests: AsyncIterator[Any], call: _Call) -> None:
        # Not aiter(): gRPC makes its generator then, and complains of it where the handler reads by the context.
        self._requests = requests
        self._call = call

    def __aiter__(self) -> _CountedRequests:
        return self

    async def __anext__(self) -> Any:
        request = await anext(self._requests)
        self._call.received()
        return request


class _CountingContext:
    """The context of a call, counting what handlers read and write by it."""

    def __init__(self, context: Context, call: _Call) -> None:
        self._context = context
        self._call = call

    @staticmethod
    def of(context: Context, call: _Call) -> Context:
        return cast(Context, _CountingContext(context, call))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def read(self) -> Any:
        message = await self._context.read()
        if message is not grpc.aio.EOF:
            self._call.received()
        return message

    async def write(self, message: Any) -> None:
        await self._context.write(message)
        self._call.sent()
