"""IngestService on gRPC: the stream as raw bytes, so that what cannot be parsed gets its named error, and Publish."""

from collections.abc import Set as AbstractSet
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from headrace.v1 import ingest_service_pb2 as pb
from headrace_server.errors import DrainingError, FencedError, MessageUnreadableError
from headrace_server.intake.service import IngestService
from headrace_server.intake.session import Context, IngestSession

SERVICE = pb.DESCRIPTOR.services_by_name["IngestService"].full_name


class IngestServicer:
    """Serves streams and calls, and knows which streams are open."""

    def __init__(self, service: IngestService) -> None:
        self._service = service
        self._sessions: set[IngestSession] = set()
        self._calls = 0

    @property
    def sessions(self) -> AbstractSet[IngestSession]:
        """Streams that are open now."""
        return self._sessions

    @property
    def is_quiet(self) -> bool:
        """Whether no stream is open and no call is under way."""
        return not self._sessions and not self._calls

    def add_to(self, server: grpc.aio.Server) -> None:
        """Register the handlers. Requests come unparsed."""
        stream: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(
            self.Ingest, request_deserializer=None, response_serializer=pb.IngestResponse.SerializeToString
        )
        call: grpc.RpcMethodHandler[Any, Any] = grpc.unary_unary_rpc_method_handler(
            self.Publish, request_deserializer=None, response_serializer=pb.PublishResponse.SerializeToString
        )
        handlers = {"Ingest": stream, "Publish": call}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

    async def Ingest(self, requests: Any, context: Context) -> None:
        """Serve one stream."""
        session = IngestSession(self._service, context)
        self._sessions.add(session)
        self._service.metrics.stream_active.inc()
        try:
            await session.run()
        except FencedError:
            self._service.metrics.fenced.inc()
            raise
        finally:
            self._sessions.discard(session)
            self._service.metrics.stream_active.dec()

    async def Publish(self, message: bytes, context: Context) -> pb.PublishResponse:
        """Serve one call."""
        try:
            request = pb.PublishRequest.FromString(message)
        except DecodeError as error:
            raise MessageUnreadableError(f"{len(message)} bytes that are no PublishRequest: {error}") from error
        self._calls += 1
        try:
            return await self._service.publish(request)
        finally:
            self._calls -= 1

    def drain(self, deadline_ms: int) -> None:
        """Take no new streams and calls, and tell the open streams to go elsewhere within the deadline."""
        self._service.draining = True
        for session in self._sessions:
            session.drain(deadline_ms)

    def end_streams(self) -> None:
        """End the streams that are still open, by name: what is not acked by now their clients send again."""
        for session in self._sessions:
            session.end(DrainingError("this replica stops now; connect again to reach another"))
