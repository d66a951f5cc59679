"""ModelService over a real gRPC server, with the interceptor that makes statuses of its errors."""

from collections.abc import AsyncIterator

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from headrace.v1 import model_pb2
from headrace.v1 import model_service_pb2 as pb
from headrace.v1.model_service_pb2_grpc import ModelServiceStub, add_ModelServiceServicer_to_server
from headrace_server.intake.interceptors import CallInterceptor
from headrace_server.models.model_servicer import ModelServicer
from headrace_server.models.registry import Registry
from headrace_server.ops.metrics import Metrics


@pytest.fixture
async def models(registry: Registry) -> AsyncIterator[ModelServiceStub]:
    server = grpc.aio.server(interceptors=[CallInterceptor(Metrics(version="0", instance="test"))])
    add_ModelServiceServicer_to_server(ModelServicer(registry), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield ModelServiceStub(channel)
    await server.stop(None)


def flight_delay(*columns: model_pb2.ModelColumn, **fields: object) -> model_pb2.Model:
    score = model_pb2.ModelColumn(
        name="Score", kind=model_pb2.COLUMN_KIND_PREDICTION, type=model_pb2.VALUE_TYPE_FLOAT64
    )
    return model_pb2.Model(name="Flight Delay", columns=[score, *columns], **fields)


def late() -> model_pb2.ModelColumn:
    return model_pb2.ModelColumn(name="late", kind=model_pb2.COLUMN_KIND_LABEL, type=model_pb2.VALUE_TYPE_BOOL)


def reason_and_fields(error: grpc.aio.AioRpcError) -> tuple[str, list[str]]:
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in rpc_status.from_call(error).details:
        detail.Unpack(info) or detail.Unpack(request)
    return info.reason, [violation.field for violation in request.field_violations]


async def test_a_model_is_registered_read_and_listed(models: ModelServiceStub) -> None:
    made = await models.RegisterModel(pb.RegisterModelRequest(model=flight_delay(late()), version="v1"))
    again = await models.RegisterModel(pb.RegisterModelRequest(model=flight_delay(late()), version="v1"))
    assert (made.created, again.created) == (True, False)
    assert made.model == again.model
    assert made.model.project == "main"
    assert made.model.joined_view == '"main"."flight_delay_joined"'
    assert made.model.revision == 1
    assert made.model.create_time == made.model.update_time
    assert (await models.GetModel(pb.GetModelRequest(name="FLIGHT-DELAY"))).model == made.model
    assert list((await models.ListModels(pb.ListModelsRequest())).models) == [made.model]


async def test_what_a_model_says_of_itself_can_be_registered_again(models: ModelServiceStub) -> None:
    made = await models.RegisterModel(pb.RegisterModelRequest(model=flight_delay(late())))
    again = await models.RegisterModel(pb.RegisterModelRequest(model=made.model))
    assert again.model == made.model


async def test_a_model_grows_by_update(models: ModelServiceStub) -> None:
    await models.RegisterModel(pb.RegisterModelRequest(model=flight_delay()))
    answer = await models.UpdateModel(
        pb.UpdateModelRequest(name="flight_delay", add_columns=[late()], unknown_columns=model_pb2.UNKNOWN_COLUMNS_ADD)
    )
    assert answer.model.labels_table == '"main"."flight_delay_labels"'
    assert answer.model.unknown_columns == model_pb2.UNKNOWN_COLUMNS_ADD
    assert answer.model.revision == 2


async def test_models_are_listed_in_pages(models: ModelServiceStub) -> None:
    for name in "cab":
        await models.RegisterModel(pb.RegisterModelRequest(model=model_pb2.Model(name=name)))
    first = await models.ListModels(pb.ListModelsRequest(page_size=2))
    rest = await models.ListModels(pb.ListModelsRequest(page_size=2, page_token=first.next_page_token))
    assert [model.name for model in (*first.models, *rest.models)] == ["a", "b", "c"]
    assert (first.next_page_token, rest.next_page_token) == ("b", "")


@pytest.mark.parametrize(
    ("call", "request_", "code", "reason"),
    [
        ("GetModel", pb.GetModelRequest(name="nothing"), grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND"),
        ("UpdateModel", pb.UpdateModelRequest(name="nothing"), grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND"),
        (
            "UpdateModel",
            pb.UpdateModelRequest(name="flight_delay", revision=9),
            grpc.StatusCode.ABORTED,
            "REVISION_CONFLICT",
        ),
        (
            "RegisterModel",
            pb.RegisterModelRequest(model=model_pb2.Model(name="pg_stat")),
            grpc.StatusCode.INVALID_ARGUMENT,
            "NAME_INVALID",
        ),
        (
            "RegisterModel",
            pb.RegisterModelRequest(model=model_pb2.Model(project="elsewhere", name="x")),
            grpc.StatusCode.PERMISSION_DENIED,
            "PROJECT_DENIED",
        ),
        (
            "ListModels",
            pb.ListModelsRequest(page_token="\0"),
            grpc.StatusCode.INVALID_ARGUMENT,
            "NAME_INVALID",
        ),
    ],
)
async def test_what_cannot_be_has_its_named_error(
    models: ModelServiceStub, call: str, request_: object, code: grpc.StatusCode, reason: str
) -> None:
    await models.RegisterModel(pb.RegisterModelRequest(model=flight_delay()))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await getattr(models, call)(request_)
    assert caught.value.code() is code
    assert reason_and_fields(caught.value)[0] == reason


async def test_a_conflict_and_a_fault_name_their_columns(models: ModelServiceStub) -> None:
    await models.RegisterModel(pb.RegisterModelRequest(model=flight_delay()))
    text = model_pb2.ModelColumn(name="score", kind=model_pb2.COLUMN_KIND_PREDICTION, type=model_pb2.VALUE_TYPE_STRING)
    vector = model_pb2.ModelColumn(name="image", kind=model_pb2.COLUMN_KIND_FEATURE, type=model_pb2.VALUE_TYPE_VECTOR)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await models.UpdateModel(pb.UpdateModelRequest(name="flight_delay", add_columns=[text]))
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert reason_and_fields(caught.value) == ("TYPE_CONFLICT", ["add_columns[0]"])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await models.UpdateModel(pb.UpdateModelRequest(name="flight_delay", add_columns=[late(), vector]))
    assert reason_and_fields(caught.value) == ("MODEL_INVALID", ["add_columns[1].dimension"])
