"""The fake service's ModelService: a registry in memory."""

from __future__ import annotations

import threading

import grpc

from headrace.testing.behaviour import Behaviour, Status, abort
from headrace.testing.stream import Received
from headrace.v1 import model_pb2, model_service_pb2, model_service_pb2_grpc

_PAGE = 2  # models a page, so that every test with three meets paging


class ModelServicer(model_service_pb2_grpc.ModelServiceServicer):
    """Keeps models.

    Attributes:
        models: By name.
    """

    def __init__(self, behaviour: Behaviour, received: Received) -> None:
        self.models: dict[str, model_pb2.Model] = {}
        self._behaviour = behaviour
        self._received = received
        self._lock = threading.Lock()

    def RegisterModel(
        self, request: model_service_pb2.RegisterModelRequest, context: grpc.ServicerContext
    ) -> model_service_pb2.RegisterModelResponse:
        """Make a model or add to it."""
        self._begin(context)
        with self._lock:
            created = request.model.name not in self.models
            model = self.models.setdefault(request.model.name, request.model)
            _add_columns(context, model, list(request.model.columns))
            if request.version and request.version not in model.versions:
                model.versions.append(request.version)
            model.revision += 1 if created else 0
            model.events_table = f"main.{model.name}"
            return model_service_pb2.RegisterModelResponse(model=model, created=created)

    def GetModel(
        self, request: model_service_pb2.GetModelRequest, context: grpc.ServicerContext
    ) -> model_service_pb2.GetModelResponse:
        """Return one model."""
        self._begin(context)
        with self._lock:
            return model_service_pb2.GetModelResponse(model=self._model(request.name, context))

    def ListModels(
        self, request: model_service_pb2.ListModelsRequest, context: grpc.ServicerContext
    ) -> model_service_pb2.ListModelsResponse:
        """Return a page."""
        self._begin(context)
        with self._lock:
            names = sorted(name for name in self.models if name > request.page_token)
            page = names[:_PAGE]
            token = page[-1] if len(names) > len(page) else ""
            models = [self.models[name] for name in page]
            return model_service_pb2.ListModelsResponse(models=models, next_page_token=token)

    def UpdateModel(
        self, request: model_service_pb2.UpdateModelRequest, context: grpc.ServicerContext
    ) -> model_service_pb2.UpdateModelResponse:
        """Add columns."""
        self._begin(context)
        with self._lock:
            model = self._model(request.name, context)
            if request.revision and request.revision != model.revision:
                abort(context, Status(grpc.StatusCode.ABORTED, "REVISION_CONFLICT"))
            _add_columns(context, model, list(request.add_columns))
            if request.unknown_columns:
                model.unknown_columns = request.unknown_columns
            model.revision += 1
            return model_service_pb2.UpdateModelResponse(model=model)

    def _begin(self, context: grpc.ServicerContext) -> None:
        self._received.note(context)
        if self._behaviour.refuse is not None:
            abort(context, self._behaviour.refuse)

    def _model(self, name: str, context: grpc.ServicerContext) -> model_pb2.Model:
        if name not in self.models:
            abort(context, Status(grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", metadata=(("model", name),)))
        return self.models[name]


def _add_columns(context: grpc.ServicerContext, model: model_pb2.Model, columns: list[model_pb2.ModelColumn]) -> None:
    known = {column.name: column for column in model.columns}
    for column in columns:
        if column.name not in known:
            model.columns.append(column)
        elif known[column.name].type != column.type:
            abort(context, Status(grpc.StatusCode.FAILED_PRECONDITION, "TYPE_CONFLICT"))
