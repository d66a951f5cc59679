"""gRPC reflection: tools like grpcurl ask the service what it offers, so that a newcomer needs no .proto files."""

from collections.abc import Iterable

import grpc
from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection


def enable(server: grpc.aio.Server, services: Iterable[str]) -> None:
    """Serve reflection for the services named, for health, and for itself."""
    reflection.enable_server_reflection((*services, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
