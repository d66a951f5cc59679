"""The service's ports, held by the parent while workers come and go.

A worker listens at them with SO_REUSEPORT, and the kernel spreads new connections over all who listen. That option
would let any process of the same user join in, and two services share a port in silence. So a port is first taken for
us alone, by a socket without it, and only that socket is then made to let others beside itself; one that is bound and
never listens stays in its place. It gets no connection, and keeps the port ours while no worker listens.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from headrace_server.config import Listen
from headrace_server.http.server import ListenError


@dataclass(frozen=True)
class Door:
    """Where a door is.

    Attributes:
        host: As it was asked for.
        port: The port; never 0.
    """

    host: str
    port: int

    def __str__(self) -> str:
        """As people and clients write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@contextmanager
def held_ports(listen: Listen) -> Iterator[tuple[Door, Door]]:
    """Hold the ports of the gRPC and the HTTP door during the block.

    Raises:
        ListenError: One is taken, or none of this machine's.
    """
    with ExitStack() as held:
        grpc = _hold(held, "gRPC", listen.grpc_host, listen.grpc_port)
        http = _hold(held, "HTTP", listen.http_host, listen.http_port)
        yield grpc, http


def _hold(held: ExitStack, door: str, host: str, port: int) -> Door:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # Listens for an instant: only that finds every socket that is bound, or listens, at the port.
        with socket.create_server((host, port), family=family) as alone:
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            place = held.enter_context(socket.socket(family, socket.SOCK_STREAM))
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                place.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # For connections that an earlier service has closed; once bound, it would let a second service in.
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            place.bind(alone.getsockname())
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError as error:
        key = f"listen.{door.lower()}"
        raise ListenError(
            f"the {door} door cannot listen at {host}:{port} ({error.strerror}): choose another address with"
            f" {key}_host and {key}_port"
        ) from error
    return Door(host, place.getsockname()[1])
