"""Reads a request's body within bounds: of size, of time, and of how many are read at once.

A body is held whole, since it becomes one batch; so memory is bounded by posts × limit. A post beyond that is refused
at once with Retry-After rather than queued: an HTTP client's connection is no place to wait in.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.exceptions import HTTPException
from starlette.requests import Request

from headrace_server.errors import BatchTooLargeError, OverloadedError


class Posts:
    """How many posts are being read and answered.

    Args:
        most: At a time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._now = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold one of the places.

        Raises:
            OverloadedError: All are taken.
        """
        if self._now >= self._most:
            raise OverloadedError(f"{self._most} posts are being worked on, the most at a time (http.max_posts)")
        self._now += 1
        try:
            yield
        finally:
            self._now -= 1


async def read_body(request: Request, *, limit_bytes: int, timeout_s: float) -> bytes:
    """Return the body.

    Raises:
        BatchTooLargeError: It is longer than the limit; what is beyond is not read.
        HTTPException: 415 when it is not plain JSON by its headers, 408 when it did not come in time.
        ClientDisconnect: The client went away.
    """
    _require_json(request)
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit_bytes:
        raise _too_large(limit_bytes)
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for part in request.stream():
                body += part
                if len(body) > limit_bytes:
                    raise _too_large(limit_bytes)
    except TimeoutError:
        raise HTTPException(408, f"the body did not come within {timeout_s:g} s") from None
    return bytes(body)


def _require_json(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        # Not pedantry: any web page may make its reader's browser post forms and plain text to this machine, but not
        # this type.
        raise HTTPException(415, "send the header Content-Type: application/json")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "send the body as it is, without a Content-Encoding")


def _too_large(limit_bytes: int) -> BatchTooLargeError:
    return BatchTooLargeError(
        f"the body is longer than {limit_bytes} bytes (intake.max_batch_bytes): send the rows in several requests",
        metadata={"max_batch_bytes": str(limit_bytes)},
    )
