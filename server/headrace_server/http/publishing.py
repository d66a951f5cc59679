"""POST events and what comes after them: one batch, settled before the answer, safe to send again.

The request's id is its Idempotency-Key, made here when the client brings none, and always told in the answer: the same
key with the same body within 24 hours gets the first answer again and adds no row. The status is 200 once every row is
settled, rejected ones included, which the body lists; an error status means that nothing is known to be stored. With
?validate_only=true nothing is written, and the answer says what would become of the rows.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from headrace.v1 import batch_pb2, ingest_service_pb2
from headrace_server.config import Http
from headrace_server.errors import DatabaseUnavailableError, HeadraceError
from headrace_server.http.body import Posts, read_body
from headrace_server.http.json_response import JsonResponse
from headrace_server.http.payload import to_batch
from headrace_server.http.problems import problem
from headrace_server.http.results import to_json
from headrace_server.intake.status import tellable

Publish = Callable[[ingest_service_pb2.PublishRequest], Awaitable[ingest_service_pb2.PublishResponse]]

KEY = "Idempotency-Key"

LATE_KINDS = {
    "labels": batch_pb2.RECORD_KIND_LABELS,
    "influences": batch_pb2.RECORD_KIND_INFLUENCES,
    "variants": batch_pb2.RECORD_KIND_VARIANTS,
    "metrics": batch_pb2.RECORD_KIND_METRICS,
}
"""The late kinds, by the last part of their path."""


class Publishing:
    """The routes that take rows.

    Args:
        publish: What the gRPC method Publish does.
        settings: Bounds of the door.
        max_batch_bytes: Longest body.
    """

    def __init__(self, publish: Publish, settings: Http, max_batch_bytes: int) -> None:
        self._publish = publish
        self._settings = settings
        self._max_batch_bytes = max_batch_bytes
        self._posts = Posts(settings.max_posts)

    async def events(self, request: Request) -> Response:
        """Take events."""
        return await self._take(request, batch_pb2.RECORD_KIND_EVENTS)

    async def late(self, request: Request) -> Response:
        """Take rows of the late kind that the path ends with."""
        return await self._take(request, LATE_KINDS[request.url.path.rpartition("/")[2]])

    async def _take(self, request: Request, kind: batch_pb2.RecordKind.ValueType) -> Response:
        # The draft standard writes the key as a quoted string; everybody writes it plain.
        request_id = request.headers.get(KEY, "").strip().strip('"') or str(uuid.uuid4())
        headers = {KEY: request_id}
        try:
            with self._posts.one():
                body = await read_body(
                    request, limit_bytes=self._max_batch_bytes, timeout_s=self._settings.body_timeout_s
                )
                batch = to_batch(
                    body,
                    kind=kind,
                    model=request.path_params["model"],
                    model_version=request.query_params.get("model_version", ""),
                )
                project = request.path_params.get("project", "")
                response = await self._settled(
                    ingest_service_pb2.PublishRequest(
                        request_id=request_id,
                        project=project,
                        batch=batch,
                        validate_only=_flag(request, "validate_only"),
                    )
                )
        except (HTTPException, ClientDisconnect):
            raise
        except Exception as error:  # noqa: BLE001 — told with its key, which is worth most when the outcome is open
            return problem(tellable(error, f"{request.method} {request.url.path}"), headers)
        return JsonResponse(to_json(response, request_id), headers=headers)

    async def _settled(self, request: ingest_service_pb2.PublishRequest) -> ingest_service_pb2.PublishResponse:
        try:
            async with asyncio.timeout(self._settings.answer_timeout_s):
                return await self._publish(request)
        except TimeoutError as error:
            raise self._unanswered() from error

    def _unanswered(self) -> HeadraceError:
        return DatabaseUnavailableError(
            f"the rows were not settled within {self._settings.answer_timeout_s:g} s; send the same body with the same"
            f" {KEY} again: what was stored is not stored twice"
        )


def _flag(request: Request, name: str) -> bool:
    match request.query_params.get(name, "false").lower():
        case "" | "true" | "1":
            return True
        case "false" | "0":
            return False
        case other:
            raise HTTPException(400, f"{name} is true or false, not {other[:60]!r}")
