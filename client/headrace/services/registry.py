"""The registry of models, asked over unary calls (calls.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import TypeVar

import grpc

from headrace.connecting.calls import Calls
from headrace.schemas.column import Column
from headrace.schemas.model_info import EventIdType, Identity, ModelInfo, UnknownColumns
from headrace.schemas.schema import Schema
from headrace.schemas.tasks import TaskLike, TaskType, member
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
        identity: Identity | None,
        event_id_type: EventIdType | None,
        unknown_columns: UnknownColumns | None,
    ) -> ModelInfo:
        """Make a model, or add a version and columns to it; see Client.register."""
        model = schema.to_proto()
        model.MergeFrom(
            model_pb2.Model(
                project=self._calls.project,
                name=name,
                identity=(identity or Identity.UNIQUE).value,
                event_id_type=(event_id_type or EventIdType.TEXT).value,
                unknown_columns=(unknown_columns or UnknownColumns.REJECT).value,
            )
        )
        request = model_service_pb2.RegisterModelRequest(model=model, version=version)
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
        task: TaskLike | None,
        add_classes: Sequence[str],
        positive_class: str,
        threshold: float | None,
        retention: timedelta | None,
    ) -> ModelInfo:
        """Add columns or change policies; see Client.update_model."""
        request = model_service_pb2.UpdateModelRequest(
            project=self._calls.project,
            name=name,
            add_columns=Schema.of(add).to_proto().columns,
            unknown_columns=unknown_columns.value if unknown_columns else model_pb2.UNKNOWN_COLUMNS_UNSPECIFIED,
            revision=revision,
            sampling_rate=sampling_rate,
            task=model_pb2.TASK_TYPE_UNSPECIFIED if task is None else member(TaskType, task, "task").value,
            add_classes=add_classes,
            positive_class=positive_class,
            threshold=threshold,
        )
        if retention is not None:
            request.retention.FromTimedelta(retention)
        return ModelInfo.from_proto(self._call(lambda stub: stub.UpdateModel, request).model)

    def _call(
        self, method: Callable[[Stub], grpc.UnaryUnaryMultiCallable[Request, Response]], request: Request
    ) -> Response:
        return self._calls.call(Stub, method, request)
