"""Administrative calls leave a line, whoever made them and however they ended."""

from __future__ import annotations

import asyncpg
import grpc
import pytest

from headrace.v1 import model_service_pb2 as pb
from headrace_server.access.scope import Scope
from integration.access.conftest import MakeKey, id_of
from support.service import ServiceProcess
from support.wire_client import column, wire_client


async def test_calls_that_only_admins_make_are_written_down_with_their_outcome(
    service: ServiceProcess, make_key: MakeKey, database: asyncpg.Connection
) -> None:
    key = await make_key(Scope.ADMIN)
    async with wire_client(service.grpc, key) as client:
        await client.register()
        more = pb.UpdateModelRequest(name="flight_delay", add_columns=[column("wind", "FLOAT64")])
        await client.models.UpdateModel(more, metadata=client.metadata, timeout=20)
        for name in ("nowhere", "nul\0"):
            request = pb.UpdateModelRequest(name=name)
            with pytest.raises(grpc.aio.AioRpcError):
                await client.models.UpdateModel(request, metadata=client.metadata, timeout=20)
    lines = await database.fetch(
        "SELECT act, actor, project, subject, outcome, details->>'request' LIKE '%wind%' AS wind, origin"
        " FROM headrace.audit_log WHERE act = 'UpdateModel' ORDER BY id"
    )
    actor = f"key:{id_of(key)}"
    assert [tuple(line.values())[:6] for line in lines] == [
        ("UpdateModel", actor, "main", "flight_delay", "done", True),
        ("UpdateModel", actor, "main", "nowhere", "MODEL_NOT_FOUND", False),
        ("UpdateModel", actor, "main", "nul", "MODEL_NOT_FOUND", False),
    ]
    assert all("127.0.0.1" in line["origin"] for line in lines)
