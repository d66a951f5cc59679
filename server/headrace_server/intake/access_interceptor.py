"""Lets no call pass but through the gate, whatever its kind; the handler runs as a call of who was let in.

Stands inside CallInterceptor (intake/interceptors.py), which tells and counts what is refused here. Handlers that
generate become handlers that write: only so does a deadline reach them while gRPC is writing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from inspect import isasyncgenfunction
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import Message
from grpc.aio import ServerInterceptor, ServicerContext

from headrace_server.access.audit_trail import AuditTrail
from headrace_server.access.gate import Gate
from headrace_server.access.request_project import settle_project

Context = ServicerContext[Any, Any]
# Generic for the type checker only.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

AUTHORIZATION = "authorization"


class AccessInterceptor(ServerInterceptor):
    """Asks the gate.

    Args:
        gate: Lets calls in.
        trail: Writes administrative calls down.
    """

    def __init__(self, gate: Gate, trail: AuditTrail) -> None:
        self._gate = gate
        self._trail = trail

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wrap the method's handler; an unknown method has none, and gRPC answers UNIMPLEMENTED."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        authorization = dict(handler_call_details.invocation_metadata or ()).get(AUTHORIZATION, "")
        return _guarded(handler, _Passage(self._gate, self._trail, handler_call_details.method, authorization))


class _Passage:
    """One call on its way through the gate."""

    def __init__(self, gate: Gate, trail: AuditTrail, method: str, authorization: str | bytes) -> None:
        self._gate = gate
        self._trail = trail
        self._method = method
        self._authorization = authorization if isinstance(authorization, str) else ""

    @asynccontextmanager
    async def through(self, request: Any, context: Context) -> AsyncIterator[None]:
        async with self._gate.let_in(self._method, self._authorization, context.peer()) as caller:
            if isinstance(request, Message):  # streams, and calls that take bytes, ask for their project themselves
                settle_project(request, caller)
            async with self._trail.around(self._method, request, caller):
                yield


def _guarded(handler: Handler, passage: _Passage) -> Handler:
    kind = f"{'stream' if handler.request_streaming else 'unary'}_{'stream' if handler.response_streaming else 'unary'}"
    inner = getattr(handler, kind)
    if not handler.response_streaming:
        behavior = _answering(inner, passage)
    elif isasyncgenfunction(inner):
        behavior = _writing_what_is_generated(inner, passage)
    else:
        behavior = _writing(inner, passage)
    make = getattr(grpc, f"{kind}_rpc_method_handler")
    guarded: Handler = make(behavior, handler.request_deserializer, handler.response_serializer)
    return guarded


def _answering(inner: Any, passage: _Passage) -> Any:
    async def answer(request: Any, context: Context) -> Any:
        async with passage.through(request, context):
            return await inner(request, context)

    return answer


def _writing_what_is_generated(inner: Any, passage: _Passage) -> Any:
    async def write(request: Any, context: Context) -> None:
        async with passage.through(request, context), aclosing(inner(request, context)) as responses:
            async for response in responses:
                await context.write(response)

    return write


def _writing(inner: Any, passage: _Passage) -> Any:
    async def write(request: Any, context: Context) -> None:
        async with passage.through(request, context):
            await inner(request, context)

    return write
