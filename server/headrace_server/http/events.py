"""GET events: one by id with all that is known of it, or those of a time as a line of JSON each.

Twins of QueryService, with its filters by the same names. NaN and infinities, which JSON does not have, are null; bytes
are base64.
"""

import base64
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from datetime import datetime
from typing import Any

import orjson
from google.protobuf.message import Message
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from headrace.v1 import batch_pb2
from headrace.v1 import query_service_pb2 as pb
from headrace_server.access.caller import current_caller
from headrace_server.http.json_response import JsonResponse
from headrace_server.http.models import Directory
from headrace_server.models.column_types import ValueType
from headrace_server.models.known_models import model_not_found
from headrace_server.models.schema import ModelSchema
from headrace_server.queries import requests
from headrace_server.queries.parts import Part
from headrace_server.queries.reader import Reader

DEFAULT_LIMIT = 1_000
MOST_LIMIT = 100_000
MEDIA_TYPE = "application/x-ndjson"

TEXTS = ("variant", "tag", "source", "model_version", "label_source")
TIMES = ("start_time", "end_time", "as_of", "event_time")


class Events:
    """The routes that show events.

    Args:
        registry: Knows the models.
        reader: Reads their events.
    """

    def __init__(self, registry: Directory, reader: Reader) -> None:
        self._registry = registry
        self._reader = reader

    async def get(self, request: Request) -> Response:
        """Show one event: `?event_time=`, `?as_of=`."""
        schema = await self._model(request)
        asked = pb.GetEventsRequest(event_ids=[request.path_params["event_id"]])
        _set_times(asked, request, ("event_time", "as_of"))
        found = await self._reader.by_id(schema, requests.by_id(asked, schema))
        shown: dict[str, Any] = {"events": list(_rows(found.events))}
        for table, part in found.late:
            kind = batch_pb2.RecordKind.Name(table.kind).removeprefix("RECORD_KIND_").lower()
            shown[f"waiting_{kind}" if table.waiting else kind] = list(_rows(part))
        return JsonResponse(shown)

    async def list(self, request: Request) -> Response:
        """List events: `?start_time=`, `?end_time=`, `?has_label=`, `?limit=` and the other filters."""
        query = requests.by_time(_asked(request))
        schema = await self._model(request)
        parts = self._reader.events(schema, query)
        first = await anext(parts)  # what is refused is told before the answer begins
        return StreamingResponse(_lines(first, parts), media_type=MEDIA_TYPE)

    async def _model(self, request: Request) -> ModelSchema:
        project = current_caller().project_for(request.path_params.get("project", ""))
        name = request.path_params["model"]
        schema = await self._registry.get(project, name)
        if schema is None:
            raise model_not_found(project, name)
        return schema


def _asked(request: Request) -> pb.QueryEventsRequest:
    given = request.query_params
    known = {*TEXTS, *TIMES, "has_label", "limit", "columns", "newest_first"}
    if unknown := sorted(given.keys() - known):
        raise HTTPException(400, f"there is no filter {unknown[0]!r}; there are {', '.join(sorted(known))}")
    asked = pb.QueryEventsRequest()
    for name in TEXTS:
        setattr(asked, name, given.get(name, ""))
    _set_times(asked, request, ("start_time", "end_time", "as_of"))
    if "has_label" in given:
        asked.has_label = _truth(given["has_label"], "has_label")
    if "newest_first" in given and _truth(given["newest_first"], "newest_first"):
        asked.order = pb.EVENT_ORDER_NEWEST_FIRST
    asked.columns.extend(name for name in given.get("columns", "").split(",") if name)
    limit = given.get("limit", str(DEFAULT_LIMIT))
    if not limit.isdecimal() or not 1 <= int(limit) <= MOST_LIMIT:
        raise HTTPException(400, f"limit is {limit!r}: it must be a number from 1 to {MOST_LIMIT}")
    asked.limit = int(limit)
    return asked


def _set_times(asked: Message, request: Request, names: tuple[str, ...]) -> None:
    for name in names:
        if text := request.query_params.get(name, ""):
            try:
                # In a query string a plus is a blank.
                getattr(asked, name).FromDatetime(datetime.fromisoformat(text.replace(" ", "+")))
            except ValueError:
                raise HTTPException(400, f"{name} is {text!r}: it must be an RFC 3339 time") from None


def _truth(text: str, name: str) -> bool:
    if text not in {"true", "false"}:
        raise HTTPException(400, f"{name} is {text!r}: it must be true or false")
    return text == "true"


async def _lines(first: Part, parts: AsyncGenerator[Part, None]) -> AsyncIterator[bytes]:
    async with aclosing(parts):
        yield _encoded(first)
        async for part in parts:
            yield _encoded(part)


def _encoded(part: Part) -> bytes:
    option = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z
    return b"".join(orjson.dumps(row, option=option) for row in _rows(part))


def _rows(part: Part) -> Iterator[dict[str, Any]]:
    documents = [column.name for column in part.columns if column.type is ValueType.JSON]
    media = [column.name for column in part.columns if column.type is ValueType.BYTES]
    for row in part.table.to_pylist():
        for name in documents:
            if row[name] is not None:
                row[name] = orjson.Fragment(row[name])
        for name in media:
            if row[name] is not None:
                row[name] = base64.b64encode(row[name]).decode()
        yield row
