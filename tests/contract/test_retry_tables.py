"""The client's rule for what may be tried again, held against the service's own table, error by error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from headrace.connecting.retry import service_error
from headrace_server import errors
from headrace_server.intake.status import to_status, trailing_metadata


def family(root: type[errors.HeadraceError]) -> Iterator[type[errors.HeadraceError]]:
    for child in root.__subclasses__():
        yield child
        yield from family(child)


class Told(grpc.RpcError):
    """A call that the service ended with an error, as the client's gRPC raises it."""

    def __init__(self, error: errors.HeadraceError) -> None:
        super().__init__()
        self._error = error

    def code(self) -> grpc.StatusCode:
        return self._error.code

    def details(self) -> str:
        return self._error.message

    def trailing_metadata(self) -> Any:
        return trailing_metadata(to_status(self._error))


@pytest.mark.parametrize("kind", list(family(errors.HeadraceError)), ids=lambda kind: kind.__name__)
def test_the_client_tries_again_exactly_what_the_service_calls_retryable(kind: type[errors.HeadraceError]) -> None:
    error = kind("wrong")
    understood = service_error(Told(error))
    assert (understood.retryable, understood.reason, understood.code) == (kind.retryable, kind.reason, kind.code)
    assert (understood.retry_after_s is not None) == kind.retryable
