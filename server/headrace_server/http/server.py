"""uvicorn as a guest in the service's event loop: the service owns the signals, the sockets and the order of stopping.

`bind` takes the port, so that a taken one is known before anything else runs; `run` is one task of the service's group;
`stop` asks it to finish what it has begun.
"""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

BACKLOG = 256


class ListenError(OSError):
    """A door's address cannot be taken; the text says which and what to do."""


class _Guest(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the service."""
        yield


class HttpServer:
    """The HTTP door.

    Args:
        app: What it serves.
        host: Address to listen at.
        port: TCP port; 0 takes a free one.
        max_connections: Further ones are answered 503.
        grace_s: Longest wait for open requests after `stop`.
        shares_port: Whether other processes listen at the port, too: the workers of one service.
        tls: Context to speak TLS with; None: plaintext.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        port: int,
        max_connections: int,
        grace_s: float,
        shares_port: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._shares_port = shares_port
        self._socket: socket.socket | None = None
        self._server = _Guest(
            uvicorn.Config(
                app,
                loop="none",
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                ssl_context_factory=(lambda _, __: tls) if tls is not None else None,
                limit_concurrency=max_connections,
                timeout_graceful_shutdown=max(1, round(grace_s)),
                # Longer than the 60 s for which load balancers keep idle connections, so that they close them, not we.
                timeout_keep_alive=75,
            )
        )

    def bind(self) -> str:
        """Take the address and return it as `host:port`; connections wait until `run`.

        Raises:
            ListenError: It is taken, or none of this machine's.
        """
        try:
            family = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)[0][0]
            self._socket = socket.create_server(
                (self._host, self._port), family=family, backlog=BACKLOG, reuse_port=self._shares_port
            )
        except OSError as error:
            raise ListenError(
                f"the HTTP door cannot listen at {self._host}:{self._port} ({error.strerror}): choose another address"
                " with listen.http_host and listen.http_port"
            ) from error
        port = self._socket.getsockname()[1]
        return f"[{self._host}]:{port}" if ":" in self._host else f"{self._host}:{port}"

    async def run(self) -> None:
        """Serve until `stop`; `bind` comes first."""
        if self._socket is None:
            raise RuntimeError("bind() comes before run()")
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            self.close()

    def stop(self) -> None:
        """Take no more requests; `run` returns when those that are open have been answered, or after the grace."""
        self._server.should_exit = True

    def close(self) -> None:
        """Give the port back; needed only where `run` was never reached. Safe twice."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
