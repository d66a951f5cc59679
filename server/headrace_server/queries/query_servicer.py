"""QueryService over the reader: what clients may read back.

In: requests. Out: column batches. Raises HeadraceError; an interceptor makes a status of it.
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

from grpc.aio import ServicerContext

from headrace.v1 import query_service_pb2 as pb
from headrace.v1.query_service_pb2_grpc import QueryServiceServicer
from headrace_server.errors import ResultsNotReadError, ResultTooLargeError
from headrace_server.models.known_models import model_not_found
from headrace_server.models.registry import Registry
from headrace_server.models.schema import ModelSchema
from headrace_server.queries import requests
from headrace_server.queries.parts import Part
from headrace_server.queries.reader import Reader
from headrace_server.queries.statistics import Statistics

DEFAULT_PROJECT = "main"
SERVICE = pb.DESCRIPTOR.services_by_name["QueryService"].full_name
MOST_BYTES = 4 * 1024 * 1024 - 64 * 1024  # of a message: gRPC clients take 4 MiB unless they are told otherwise

Context = ServicerContext[Any, Any]


class QueryServicer(QueryServiceServicer):
    """Serves headrace.v1.QueryService.

    Args:
        registry: The models.
        reader: Reads their events.
        statistics: Tells how much there is of them.
        not_read_timeout_s: How long a client may leave its results unread.
    """

    def __init__(self, registry: Registry, reader: Reader, statistics: Statistics, not_read_timeout_s: float) -> None:
        self._registry = registry
        self._reader = reader
        self._statistics = statistics
        self._not_read_timeout_s = not_read_timeout_s

    async def GetEvents(self, request: pb.GetEventsRequest, context: Context) -> pb.GetEventsResponse:
        """Return events by id with all that is known of them."""
        schema = await self._model(request.project, request.model)
        found = await self._reader.by_id(schema, requests.by_id(request, schema))

        def answer() -> pb.GetEventsResponse:
            response = pb.GetEventsResponse(columns=_told(found.events), events=found.events.to_wire())
            for table, part in found.late:
                response.late.add(kind=table.kind, waiting=table.waiting, columns=_told(part), rows=part.to_wire())
            return response

        response = await asyncio.to_thread(answer)
        if response.ByteSize() > MOST_BYTES:
            raise ResultTooLargeError(
                f"the answer has {response.ByteSize()} bytes, at most {MOST_BYTES} are sent: ask for fewer ids"
            )
        return response

    async def QueryEvents(self, request: pb.QueryEventsRequest, context: Context) -> None:  # type: ignore[override]  # it writes
        """Send the events that pass the filters, part by part.

        gRPC takes a message when the client has room for it, so a slow client is waited for: here, and so in the
        database.
        """
        schema = await self._model(request.project, request.model)
        first = True
        async with aclosing(self._reader.events(schema, requests.by_time(request))) as parts:
            async for part in parts:
                for response in await asyncio.to_thread(_responses, part):
                    if first:
                        response.columns.extend(_told(part))
                        first = False
                    await self._send(context, response)

    async def GetModelStatistics(
        self, request: pb.GetModelStatisticsRequest, context: Context
    ) -> pb.GetModelStatisticsResponse:
        """Return how much the model has stored."""
        return await self._statistics.of(await self._model(request.project, request.model))

    async def _model(self, project: str, name: str) -> ModelSchema:
        project = project or DEFAULT_PROJECT
        schema = await self._registry.get(project, name)
        if schema is None:
            raise model_not_found(project, name)
        return schema

    async def _send(self, context: Context, response: pb.QueryEventsResponse) -> None:
        try:
            async with asyncio.timeout(self._not_read_timeout_s):
                await context.write(response)
        except TimeoutError:
            raise ResultsNotReadError(
                f"the client did not read its results for {self._not_read_timeout_s:g} seconds: ask again from the"
                " last event it has"
            ) from None


def _told(part: Part) -> Sequence[pb.ResultColumn]:
    return [column.to_proto() for column in part.columns]


def _responses(part: Part) -> list[pb.QueryEventsResponse]:
    """Return the messages of a part: one, unless its rows are far heavier than those before them."""
    response = pb.QueryEventsResponse(rows=part.to_wire())
    if response.ByteSize() <= MOST_BYTES:
        return [response]
    if part.table.num_rows == 1:
        raise ResultTooLargeError(
            f"an event has {response.ByteSize()} bytes, at most {MOST_BYTES} are sent: ask for fewer columns"
        )
    return [response for half in part.halves() for response in _responses(half)]
