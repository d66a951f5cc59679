"""A response whose body is JSON, written by orjson."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response


class JsonResponse(Response):
    """JSON, two spaces deep for people, with a newline at the end for terminals.

    Args:
        content: What is said.
        status_code: Of HTTP.
        headers: Beside those of every response.
        media_type: application/json or one that is built on it.
    """

    def __init__(
        self,
        content: object,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str = "application/json",
    ) -> None:
        super().__init__(content, status_code, headers, media_type)

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
