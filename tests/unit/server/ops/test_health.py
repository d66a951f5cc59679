import asyncio
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from headrace_server.ops.health import Health

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
INGEST = "headrace.v1.IngestService"


@asynccontextmanager
async def serving(health):
    server = grpc.aio.server()
    await health.add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield health_pb2_grpc.HealthStub(channel)
    finally:
        await server.stop(None)


@pytest.fixture
def health():
    return Health([INGEST])


async def asked(stub, service):
    return (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status


@pytest.mark.parametrize("service", ["", INGEST])
async def test_it_serves_only_once_it_is_ready_and_while_it_is(health, service):
    async with serving(health) as stub:
        assert await asked(stub, service) == NOT_SERVING
        await health.set_ready(True)
        assert (await asked(stub, service), health.ready) == (SERVING, True)
        await health.set_ready(False)
        assert (await asked(stub, service), health.ready) == (NOT_SERVING, False)


async def test_draining_is_for_good(health):
    async with serving(health) as stub:
        await health.set_ready(True)
        await health.drain()
        await health.set_ready(True)
        assert (await asked(stub, INGEST), health.ready) == (NOT_SERVING, False)
        await health.drain()


async def test_a_watcher_is_told_of_each_change(health):
    async with serving(health) as stub:
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=INGEST))
        async with asyncio.timeout(10):
            assert (await watch.read()).status == NOT_SERVING
            await health.set_ready(True)
            assert (await watch.read()).status == SERVING
            await health.drain()
            assert (await watch.read()).status == NOT_SERVING
        watch.cancel()


async def test_a_service_it_does_not_have_is_not_found(health):
    async with serving(health) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asked(stub, "headrace.v1.Nothing")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
