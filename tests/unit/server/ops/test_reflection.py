import grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from headrace.v1 import ingest_service_pb2
from headrace_server.ops import reflection

INGEST = ingest_service_pb2.DESCRIPTOR.services_by_name["IngestService"].full_name


async def test_tools_learn_the_services_and_the_file_that_defines_them():
    server = grpc.aio.server()
    reflection.enable(server, [INGEST])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
            await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
            listed = await call.read()
            await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol=INGEST))
            file = await call.read()
            await call.done_writing()
    finally:
        await server.stop(None)
    assert {service.name for service in listed.list_services_response.service} == {
        INGEST,
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    assert any(
        b"headrace/v1/ingest_service.proto" in proto for proto in file.file_descriptor_response.file_descriptor_proto
    )
