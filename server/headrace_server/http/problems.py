"""Errors as HTTP says them: RFC 9457 problem documents with our reason and whether to try again.

The same three facts as on gRPC. `retryable` is true if and only if Retry-After is there.
"""

import math
from collections.abc import Mapping
from http import HTTPStatus

from grpc import StatusCode
from starlette.exceptions import HTTPException

from headrace_server.errors import HeadraceError
from headrace_server.http.json_response import JsonResponse
from headrace_server.intake.status import http_status

MEDIA_TYPE = "application/problem+json"


def problem(error: HeadraceError, headers: Mapping[str, str] | None = None) -> JsonResponse:
    """Return the answer to a request that ended with an error of ours."""
    document = {
        "type": f"urn:headrace:reason:{error.reason}",
        "title": error.reason.replace("_", " ").capitalize(),
        "status": http_status(error),
        "detail": error.message,
        "reason": error.reason,
        "retryable": error.retryable,
        "metadata": error.metadata,
        "fields": [{"field": field, "problem": wrong} for field, wrong in error.fields.items()],
    }
    # Whole seconds, and at least one: 0 would say "now", to everyone at once.
    retry = {"Retry-After": str(max(1, math.ceil(error.retry_after_s)))} if error.retryable else {}
    # HTTP wants a 401 to say how to do better.
    challenge = {"WWW-Authenticate": "Bearer"} if error.code is StatusCode.UNAUTHENTICATED else {}
    return JsonResponse(document, http_status(error), {**(headers or {}), **retry, **challenge}, MEDIA_TYPE)


def plain_problem(error: HTTPException) -> JsonResponse:
    """Return the answer to a request that HTTP itself has a word for: no such page, no such method."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(error.status_code).phrase,
        "status": error.status_code,
        "detail": error.detail,
        "retryable": False,
    }
    return JsonResponse(document, error.status_code, error.headers, MEDIA_TYPE)
