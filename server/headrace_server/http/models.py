"""GET models: what the registry knows, in the contract's own words."""

from collections.abc import Sequence
from typing import Any, Protocol

from google.protobuf.json_format import MessageToDict
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from headrace_server.access.caller import current_caller
from headrace_server.errors import ModelNotFoundError
from headrace_server.http.json_response import JsonResponse
from headrace_server.models import wire
from headrace_server.models.schema import ModelSchema

PAGE_MODELS = 100


class Directory(Protocol):
    """The reading half of the registry."""

    async def get(self, project: str, name: str) -> ModelSchema | None:
        """Return a model in any form of its name, or None."""

    async def list(self, project: str, after: str = "", limit: int = 100) -> Sequence[ModelSchema]:
        """Return a page of models, ordered by sql_name."""


class Models:
    """The routes that show models.

    Args:
        registry: Knows them.
    """

    def __init__(self, registry: Directory) -> None:
        self._registry = registry

    async def list(self, request: Request) -> Response:
        """List a page of models: `?page_size=` (1–1,000), `?page_token=` of the page before."""
        size = request.query_params.get("page_size", str(PAGE_MODELS))
        if not size.isdecimal() or not 1 <= int(size) <= 1_000:
            raise HTTPException(400, f"page_size is {size!r}: it must be a number from 1 to 1000")
        after = request.query_params.get("page_token", "")
        page = await self._registry.list(_project(request), after, int(size))
        following = page[-1].sql_name if len(page) == int(size) else ""
        return JsonResponse({"models": [_shown(model) for model in page], "next_page_token": following})

    async def get(self, request: Request) -> Response:
        """Show one model."""
        project, name = _project(request), request.path_params["model"]
        model = await self._registry.get(project, name)
        if model is None:
            raise ModelNotFoundError(
                f"there is no model {name!r} in the project {project!r}", metadata={"project": project, "model": name}
            )
        return JsonResponse(_shown(model))


def _shown(model: ModelSchema) -> dict[str, Any]:
    return MessageToDict(wire.to_proto(model), preserving_proto_field_name=True)


def _project(request: Request) -> str:
    return current_caller().project_for(request.path_params.get("project", ""))
