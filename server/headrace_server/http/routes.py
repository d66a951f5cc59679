"""The routes of the HTTP door, each beside what answers it.

Every path of a project has a shorter twin without it, for the project of the credential, or `main`. A route that
shows or takes something does what an RPC does, and lets in whom that lets in.
"""

from collections.abc import Awaitable, Callable
from functools import wraps

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headrace_server.access.gate import Gate
from headrace_server.http.doorkeeper import Doorkeeper
from headrace_server.http.events import Events
from headrace_server.http.models import Models
from headrace_server.http.operations import Operations
from headrace_server.http.problems import plain_problem
from headrace_server.http.publishing import LATE_KINDS, Publishing
from headrace_server.ops.metrics import Metrics

ROOTS = ("/v1", "/v1/projects/{project}")


Endpoint = Callable[[Request], Awaitable[Response]]


def http_app(
    publishing: Publishing, models: Models, events: Events, operations: Operations, *, metrics: Metrics, gate: Gate
) -> Starlette:
    """Return the door."""

    def twin(method: str, endpoint: Endpoint) -> Endpoint:
        return _guarded(gate, method, endpoint)

    list_models = twin("/headrace.v1.ModelService/ListModels", models.list)
    get_model = twin("/headrace.v1.ModelService/GetModel", models.get)
    list_events = twin("/headrace.v1.QueryService/QueryEvents", events.list)
    get_event = twin("/headrace.v1.QueryService/GetEvents", events.get)
    take_events = twin("/headrace.v1.IngestService/Publish", publishing.events)
    take_late = twin("/headrace.v1.IngestService/Publish", publishing.late)
    routes = [
        Route("/", operations.page),
        Route("/healthz", operations.alive),
        Route("/readyz", operations.ready),
        Route("/metrics", twin("/metrics", operations.metrics)),
    ]
    for root in ROOTS:
        routes += [
            Route(root + "/models", list_models),
            Route(root + "/models/{model}", get_model),
            Route(root + "/models/{model}/events", list_events, methods=["GET"]),
            Route(root + "/models/{model}/events", take_events, methods=["POST"]),
            Route(root + "/models/{model}/events/{event_id}", get_event),
            *(Route(f"{root}/models/{{model}}/{kind}", take_late, methods=["POST"]) for kind in LATE_KINDS),
        ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Doorkeeper, metrics=metrics)],
        exception_handlers={HTTPException: _told},
    )


def _guarded(gate: Gate, method: str, endpoint: Endpoint) -> Endpoint:
    @wraps(endpoint)
    async def answer(request: Request) -> Response:
        origin = request.client.host if request.client else ""
        async with gate.let_in(method, request.headers.get("authorization", ""), origin):
            return await endpoint(request)

    return answer


async def _told(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return plain_problem(error)
