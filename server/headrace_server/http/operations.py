"""What operators and their machines look at: liveness, readiness, metrics, and a page that says what this is."""

from collections.abc import Awaitable, Callable
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from headrace_server.ops.metrics import Metrics

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>headrace</title>
<style>
  body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem; }}
  code, pre {{ font-family: ui-monospace, monospace; background: #8881; padding: .1em .3em; }}
  pre {{ padding: 1em; overflow-x: auto; }}
</style>
<h1>headrace {version}</h1>
<p>Inference events and their labels into TimescaleDB. gRPC listens at <code>{grpc}</code>, this door at
<code>{http}</code>.</p>
<pre>curl {http}/v1/models/&lt;model&gt;/events \\
  -H 'Content-Type: application/json' \\
  -d '[{{"event_id": "a-1", "event_time": "2026-01-01T00:00:00Z", "score": 0.83}}]'</pre>
<ul>
  <li><a href="/v1/models">/v1/models</a> – the models there are</li>
  <li><a href="/metrics">/metrics</a> – numbers, for Prometheus</li>
  <li><a href="/readyz">/readyz</a>, <a href="/healthz">/healthz</a> – ready for calls; alive</li>
</ul>
</html>
"""


# Shows metrics, in the best format that an Accept header admits: the text, and its content type.
Render = Callable[[str], Awaitable[tuple[bytes, str]]]


class Operations:
    """The routes that take nothing.

    Args:
        metrics: Shown at /metrics.
        ready: Whether calls are welcome.
        version: Of the service.
        grpc_address: Of the other door, for people.
        render_all: Shows the metrics of all workers, in place of this process's own. Default: it is the only one.
    """

    def __init__(
        self,
        metrics: Metrics,
        ready: Callable[[], bool],
        version: str,
        grpc_address: str,
        render_all: Render | None = None,
    ) -> None:
        self._metrics = metrics
        self._render_all = render_all
        self._ready = ready
        self._version = version
        self._grpc_address = grpc_address

    async def page(self, request: Request) -> Response:
        """Say what this is."""
        facts = {"version": self._version, "grpc": self._grpc_address, "http": str(request.base_url).rstrip("/")}
        return HTMLResponse(PAGE.format(**{name: escape(value) for name, value in facts.items()}))

    async def alive(self, _: Request) -> Response:
        """Answer at all: restart what does not."""
        return PlainTextResponse("alive\n")

    async def ready(self, _: Request) -> Response:
        """Say whether calls are welcome: send none where they are not."""
        return PlainTextResponse("ready\n") if self._ready() else PlainTextResponse("not ready\n", 503)

    async def metrics(self, request: Request) -> Response:
        """Show the metrics."""
        accept = request.headers.get("accept", "")
        if self._render_all is not None:
            text, content_type = await self._render_all(accept)
        else:
            text, content_type = self._metrics.render(accept)
        return Response(text, headers={"Content-Type": content_type})
