"""One table says what may be tried again."""

from __future__ import annotations

import random

import grpc
import pytest

from headrace.connecting.retry import TRANSPORT_RETRYABLE, Backoff, service_error
from headrace.errors import FencedError, ModelNotFoundError
from headrace.testing import Status
from headrace.v1 import error_reason_pb2


class Ended(grpc.RpcError):
    """An ended call, as grpc raises it."""

    def __init__(self, status: Status, trailers: tuple[tuple[str, bytes], ...] | None = None) -> None:
        super().__init__()
        self._status = status
        self._trailers = trailers if trailers is not None else (("grpc-status-details-bin", status.details()),)

    def code(self) -> grpc.StatusCode:
        return self._status.code

    def details(self) -> str:
        return "words"

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:  # type: ignore[override]
        return self._trailers


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_a_status_of_ours_is_retryable_if_and_only_if_it_has_retry_info(code: grpc.StatusCode) -> None:
    plain = service_error(Ended(Status(code, "DRAINING")))
    asking = service_error(Ended(Status(code, "DRAINING", retry_after_s=1.5)))
    assert (plain.retryable, plain.retry_after_s) == (False, None)
    assert (asking.retryable, asking.retry_after_s) == (True, 1.5)
    assert (asking.reason, asking.code) == ("DRAINING", code)


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_a_status_of_the_transport_is_retryable_by_the_table(code: grpc.StatusCode) -> None:
    error = service_error(Ended(Status(code), ()))
    assert error.retryable == (code in TRANSPORT_RETRYABLE)
    assert error.reason == code.name


def test_the_table_is_the_protocols() -> None:
    assert {code.name for code in TRANSPORT_RETRYABLE} == {
        "UNAVAILABLE",
        "INTERNAL",
        "CANCELLED",
        "UNKNOWN",
        "DEADLINE_EXCEEDED",
    }


def test_details_of_a_stranger_are_the_transports() -> None:
    garbage = service_error(Ended(Status(grpc.StatusCode.UNAVAILABLE), (("grpc-status-details-bin", b"\xff\xff"),)))
    assert garbage.retryable


def test_an_error_without_a_status_is_unknown() -> None:
    assert service_error(grpc.RpcError()).code is grpc.StatusCode.UNKNOWN


@pytest.mark.parametrize(("reason", "kind"), [("FENCED", FencedError), ("MODEL_NOT_FOUND", ModelNotFoundError)])
def test_some_reasons_have_a_class_of_their_own(reason: str, kind: type[Exception]) -> None:
    assert f"ERROR_REASON_{reason}" in error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name
    error = service_error(Ended(Status(grpc.StatusCode.ABORTED, reason, metadata=(("model", "m"),))))
    assert type(error) is kind
    assert error.metadata == {"model": "m"}


def test_waits_grow_up_to_the_longest_and_begin_again_after_progress() -> None:
    class Most(random.Random):
        def uniform(self, a: float, b: float) -> float:
            return b

    backoff = Backoff(1.0, 2.0, Most())
    assert [backoff.next_s() for _ in range(4)] == pytest.approx([1.0, 1.3, 1.69, 2.0])
    assert backoff.next_s(asked_s=60.0) == 62.0
    backoff.reset()
    assert backoff.next_s() == 1.0


def test_waits_are_jittered_over_their_whole_range() -> None:
    waits = [Backoff(1.0, 1.0, random.Random(seed)).next_s() for seed in range(100)]
    assert min(waits) < 0.1
    assert max(waits) > 0.9
