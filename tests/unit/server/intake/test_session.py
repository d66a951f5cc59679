"""How a session takes the end of its stream, where gRPC is not what a test can make it be."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest

from headrace.v1 import ingest_service_pb2 as pb
from headrace_server.intake import session
from headrace_server.intake.admission import MemoryBudget
from headrace_server.intake.session import IngestSession


class BrokenStream:
    """A stream whose client has gone, and that gRPC does not cancel."""

    async def write(self, _: pb.IngestResponse) -> None:
        raise grpc.aio.InternalError("the transport has failed")


async def test_a_stream_that_broke_and_is_not_cancelled_ends_with_what_broke_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "CANCELLED_WITHIN_S", 0.0)
    limits = SimpleNamespace(max_batch_bytes=1_000, acks_timeout_s=60.0)
    service: Any = SimpleNamespace(reading=MemoryBudget(1_000), limits=limits)
    broken = IngestSession(service, cast(Any, BrokenStream()))
    with pytest.raises(grpc.aio.InternalError, match="the transport has failed"):
        await broken._write(pb.IngestResponse())
