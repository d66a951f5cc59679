"""The registry of models, asked over unary calls (calls.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import grpc

from headrace.calls import Calls
from headrace.schema import Column, EventIdType, Identity, ModelInfo, Schema, UnknownColumns
from headrace.v1 import model_pb2, model_service_pb2, model_service_pb2_grpc

Request = TypeVar("Request")
Response = TypeVar("Response")
Stub = model_service_pb2_grpc.ModelServiceStub


class Registry:
    """Calls ModelService.

    Args:
        calls: The client's unary calls.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def register(
        self,
        schema: Schema,
        *,
        name: str,
        version: str = "",
        identity: Identity = Identity.UNIQUE,
        event_id_type: EventIdType = EventIdType.TEXT,
        unknown_columns: UnknownColumns = UnknownColumns.REJECT,
    ) -> ModelInfo:
        """Make a model, or add a version and columns to it; see Client.register."""
        request = model_service_pb2.RegisterModelRequest(
            model=model_pb2.Model(
                project=self._calls.project,
                name=name,
                columns=schema.to_proto(),
                identity=identity.value,
                event_id_type=event_id_type.value,
                unknown_columns=unknown_columns.value,
            ),
            version=version,
        )
        return ModelInfo.from_proto(self._call(lambda stub: stub.RegisterModel, request).model)

    def get(self, name: str) -> ModelInfo:
        """Return one model; see Client.get_model."""
        request = model_service_pb2.GetModelRequest(project=self._calls.project, name=name)
        return ModelInfo.from_proto(self._call(lambda stub: stub.GetModel, request).model)

    def list(self) -> Iterator[ModelInfo]:
        """Yield the models of the project by name, page by page."""
        token = ""
        while True:
            request = model_service_pb2.ListModelsRequest(project=self._calls.project, page_token=token)
            page = self._call(lambda stub: stub.ListModels, request)
            yield from map(ModelInfo.from_proto, page.models)
            token = page.next_page_token
            if not token:
                return

    def update(
        self,
        name: str,
        *,
        add: tuple[Column, ...],
        unknown_columns: UnknownColumns | None,
        sampling_rate: float | None,
        revision: int,
    ) -> ModelInfo:
        """Add columns or change policies; see Client.update_model."""
        request = model_service_pb2.UpdateModelRequest(
            project=self._calls.project,
            name=name,
            add_columns=Schema.of(add).to_proto(),
            unknown_columns=unknown_columns.value if unknown_columns else model_pb2.UNKNOWN_COLUMNS_UNSPECIFIED,
            revision=revision,
            sampling_rate=sampling_rate,
        )
        return ModelInfo.from_proto(self._call(lambda stub: stub.UpdateModel, request).model)

    def _call(
        self, method: Callable[[Stub], grpc.UnaryUnaryMultiCallable[Request, Response]], request: Request
    ) -> Response:
        return self._calls.call(Stub, method, request)
