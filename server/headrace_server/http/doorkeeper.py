"""What happens around every request: it is counted, and whatever error it ends with is told as a problem document."""

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace_server.http.problems import problem
from headrace_server.intake.status import tellable
from headrace_server.ops.metrics import Metrics

# nginx's word for a client that went away; nobody receives it, the metrics do.
CLIENT_GONE = 499


class Doorkeeper:
    """ASGI middleware around the routes.

    Args:
        app: The routes.
        metrics: Where requests are counted.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = CLIENT_GONE

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            pass
        except Exception as error:
            told = tellable(error, f"{scope['method']} {scope['path']}")
            if status != CLIENT_GONE:
                # Too late to say so: the client sees its answer end in the middle.
                raise
            await problem(told)(scope, receive, watched)
        finally:
            self._metrics.http_requests.labels(_route(scope), str(status)).inc()


def _route(scope: Scope) -> str:
    """Name the handler that the router chose: paths hold names that clients choose."""
    endpoint = scope.get("endpoint")
    return getattr(endpoint, "__qualname__", "none")
