"""ModelService over the registry: what clients may ask about models.

In: requests. Out: models as protos. Raises HeadraceError; an interceptor makes a status of it.
"""

from typing import Any

from grpc.aio import ServicerContext

from headrace.v1 import model_service_pb2 as pb
from headrace.v1.model_service_pb2_grpc import ModelServiceServicer
from headrace_server.models import wire
from headrace_server.models.known_models import model_not_found
from headrace_server.models.registry import Registry

DEFAULT_PROJECT = "main"
DEFAULT_PAGE_ROWS = 100
LONGEST_PAGE_ROWS = 1_000

Context = ServicerContext[Any, Any]


class ModelServicer(ModelServiceServicer):
    """Serves headrace.v1.ModelService.

    Args:
        registry: The models.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def RegisterModel(self, request: pb.RegisterModelRequest, context: Context) -> pb.RegisterModelResponse:
        """Make a model, or add to the one that is there."""
        definition = wire.definition(request.model)
        schema, created = await self._registry.register(
            request.model.project or DEFAULT_PROJECT, definition, request.version
        )
        return pb.RegisterModelResponse(model=wire.to_proto(schema), created=created)

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.GetModelResponse:
        """Return one model."""
        project = request.project or DEFAULT_PROJECT
        schema = await self._registry.get(project, request.name)
        if schema is None:
            raise model_not_found(project, request.name)
        return pb.GetModelResponse(model=wire.to_proto(schema))

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        """Return a page of models; its token is the last model's table name."""
        limit = min(request.page_size or DEFAULT_PAGE_ROWS, LONGEST_PAGE_ROWS)
        # One more than the page tells whether another follows.
        found = await self._registry.list(request.project or DEFAULT_PROJECT, request.page_token, limit + 1)
        page = found[:limit]
        return pb.ListModelsResponse(
            models=[wire.to_proto(schema) for schema in page],
            next_page_token=page[-1].sql_name if len(found) > limit else "",
        )

    async def UpdateModel(self, request: pb.UpdateModelRequest, context: Context) -> pb.UpdateModelResponse:
        """Add columns, roles and classes to a model, or change its policies."""
        schema = await self._registry.update(
            request.project or DEFAULT_PROJECT,
            request.name,
            wire.added_columns(request.add_columns),
            wire.unknown_columns(request.unknown_columns),
            request.revision,
            sampling_rate=request.sampling_rate if request.HasField("sampling_rate") else None,
            task=wire.asked_task(request),
            retention=wire.retention(request),
        )
        return pb.UpdateModelResponse(model=wire.to_proto(schema))
