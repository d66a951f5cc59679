"""grpc.health.v1 and the readiness that it shares with the HTTP door.

Every service is NOT_SERVING until the composition root says it is ready, follows it from then on (the database went
away, the database is back), and is NOT_SERVING for good once draining has begun, whatever anybody says after.
"""

from collections.abc import Iterable

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio

# The empty name stands for the server as a whole; load balancers and Kubernetes ask for it unless told otherwise.
WHOLE_SERVER = ""


class Health:
    """Readiness of the services of one process.

    Args:
        services: Full names of the gRPC services that follow readiness.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self._services = (WHOLE_SERVER, *services)
        self._servicer = aio.HealthServicer()
        self._ready = False
        self._draining = False

    @property
    def ready(self) -> bool:
        """True while calls are welcome."""
        return self._ready and not self._draining

    async def add_to(self, server: grpc.aio.Server) -> None:
        """Serve grpc.health.v1 on the server, NOT_SERVING as yet."""
        await self._say(serving=False)
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def set_ready(self, ready: bool) -> None:
        """Say whether calls are welcome; without effect once draining has begun."""
        if self._draining:
            return
        self._ready = ready
        await self._say(serving=ready)

    async def drain(self) -> None:
        """Say NOT_SERVING for good. May be called twice, or before `add_to`."""
        self._draining = True
        await self._servicer.enter_graceful_shutdown()

    async def _say(self, *, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for service in self._services:
            await self._servicer.set(service, status)
