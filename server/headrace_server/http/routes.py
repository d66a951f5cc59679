"""The routes of the HTTP door, each beside what answers it.

Every path of a project has a shorter twin without it, for the project of the credential, or `main`.
"""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headrace_server.http.doorkeeper import Doorkeeper
from headrace_server.http.models import Models
from headrace_server.http.operations import Operations
from headrace_server.http.problems import plain_problem
from headrace_server.http.publishing import Publishing
from headrace_server.ops.metrics import Metrics

ROOTS = ("/v1", "/v1/projects/{project}")


def http_app(publishing: Publishing, models: Models, operations: Operations, metrics: Metrics) -> Starlette:
    """Return the door."""
    routes = [
        Route("/", operations.page),
        Route("/healthz", operations.alive),
        Route("/readyz", operations.ready),
        Route("/metrics", operations.metrics),
    ]
    for root in ROOTS:
        routes += [
            Route(root + "/models", models.list),
            Route(root + "/models/{model}", models.get),
            Route(root + "/models/{model}/events", publishing.events, methods=["POST"]),
            Route(root + "/models/{model}/labels", publishing.labels, methods=["POST"]),
        ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Doorkeeper, metrics=metrics)],
        exception_handlers={HTTPException: _told},
    )


async def _told(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return plain_problem(error)
