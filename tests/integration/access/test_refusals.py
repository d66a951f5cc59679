"""Every RPC, with every credential that must not open it: refused with the right code, and no row is written."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import asyncpg
import grpc
import pytest

from headrace.v1 import ingest_service_pb2 as pb
from headrace_server.access.key_text import new_key_text
from headrace_server.access.request_project import project_paths
from headrace_server.access.rules import scopes_for
from headrace_server.access.scope import EVERY_SCOPE, Scope
from integration.access.conftest import MakeKey, id_of
from support.service import ServiceProcess
from support.services import Rpc, rpcs
from support.wire_client import events, json_batch, told, wire_client

UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED


@dataclass(frozen=True)
class Case:
    """A credential, and what it must be answered with."""

    name: str
    authorization: str | None
    project: str
    code: grpc.StatusCode
    reason: str


async def cases_for(rpc: Rpc, make_key: MakeKey, database: asyncpg.Connection) -> Sequence[Case]:
    needed = scopes_for(rpc.path)
    good, expired, revoked = await make_key(), await make_key(), await make_key()
    await database.execute("UPDATE headrace.api_keys SET expires_at = now() WHERE id = $1", id_of(expired))
    await database.execute("UPDATE headrace.api_keys SET revoked_at = now() WHERE id = $1", id_of(revoked))
    others = await make_key(project="other")
    forged = new_key_text()
    stolen_id = type(forged)(id_of(good), forged.secret)
    unauthenticated = [
        ("none", None),
        ("another scheme", "Basic bWFpbjptYWlu"),
        ("no key", "Bearer hr_abc"),
        ("unknown", f"Bearer {forged.shown()}"),
        ("wrong secret", f"Bearer {stolen_id.shown()}"),
        ("expired", f"Bearer {expired}"),
        ("revoked", f"Bearer {revoked}"),
    ]
    cases = [Case(name, text, "main", UNAUTHENTICATED, "CREDENTIAL_INVALID") for name, text in unauthenticated]
    cases += [
        Case("another project's", f"Bearer {others}", "main", DENIED, "PROJECT_DENIED"),
        Case("for a project that is not there", f"Bearer {good}", "nowhere", DENIED, "PROJECT_DENIED"),
    ]
    for scope in sorted(EVERY_SCOPE - needed):
        cases.append(Case(f"only {scope}", f"Bearer {await make_key(scope)}", "main", DENIED, "SCOPE_DENIED"))
    return cases


def request_of(rpc: Rpc, project: str) -> Any:
    """A request about the project."""
    request = rpc.request()
    if isinstance(request, pb.IngestRequest):
        return pb.IngestRequest(open=pb.Open(producer_id=str(uuid4()), project=project))
    for path in project_paths(rpc.descriptor.input_type):
        holder = request
        for field in path[:-1]:
            holder = getattr(holder, field.name)
            holder = holder.add() if field.is_repeated else holder
        holder.project = project
    return request


async def answer(channel: grpc.aio.Channel, rpc: Rpc, case: Case) -> tuple[grpc.StatusCode, str]:
    """Call, whatever kind the method is of; returns code and reason."""
    method = rpc.descriptor
    kind = "stream" if method.client_streaming else "unary"
    kind += "_stream" if method.server_streaming else "_unary"
    request, metadata = request_of(rpc, case.project), None
    if case.authorization is not None:
        metadata = [("authorization", case.authorization)]
    call = getattr(channel, kind)(rpc.path, request_serializer=lambda message: message.SerializeToString())(
        **({} if method.client_streaming else {"request": request}), metadata=metadata, timeout=20
    )
    try:
        if method.client_streaming and case.reason == "PROJECT_DENIED":  # the others are refused before they speak
            await call.write(request)
        if method.server_streaming:
            await call.read()
        else:
            await call
    except grpc.aio.AioRpcError:
        pass
    return await call.code(), told(await call.trailing_metadata())[0]


async def rows_of(database: asyncpg.Connection) -> dict[str, int]:
    """Rows in every table that a call could write to, but the keys the test makes."""
    tables = await database.fetch(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
        " WHERE schemaname IN ('headrace', 'main', 'other') AND tablename NOT IN ('api_keys', 'audit_log')"
    )
    return {row["name"]: await database.fetchval(f"SELECT count(*) FROM {row['name']}") for row in tables}


async def test_every_rpc_refuses_every_credential_that_is_not_for_it(
    service: ServiceProcess, make_key: MakeKey, database: asyncpg.Connection
) -> None:
    before, refused = await rows_of(database), 0
    async with grpc.aio.insecure_channel(service.grpc) as channel:
        for rpc in rpcs():
            for case in await cases_for(rpc, make_key, database):
                assert await answer(channel, rpc, case) == (case.code, case.reason), f"{rpc.path}: {case.name}"
                refused += 1
    assert await rows_of(database) == before
    print(f"refused: {refused} of {refused}")


async def test_rows_of_a_kind_that_the_key_may_not_send_are_refused(
    service: ServiceProcess, make_key: MakeKey, database: asyncpg.Connection
) -> None:
    async with wire_client(service.grpc, await make_key(Scope.INGEST)) as client:
        await client.register()
        stream = client.stream()
        await stream.open()
        assert await stream.settle(json_batch(events(1), seq=1)) is None
        labels = json_batch([{"event_id": "e0", "late": True}], seq=2, kind="LABELS")
        result = await stream.settle(labels)
        assert (result.stored, result.rejected) == (0, 1)
        assert "label" in result.errors[0].message
        assert await stream.settle(json_batch(events(1, first=1), seq=3)) is None, "the stream goes on"
    async with wire_client(service.grpc, await make_key(Scope.LABEL)) as labeller:
        with pytest.raises(grpc.aio.AioRpcError) as denied:
            await labeller.publish(json_batch(events(1, first=9)))
        assert denied.value.code() is DENIED
        assert (await labeller.publish(json_batch([{"event_id": "e0", "late": True}], kind="LABELS"))).stored == 1
    assert await database.fetchval("SELECT count(*) FROM main.flight_delay") == 2
    assert await database.fetchval("SELECT count(*) FROM main.flight_delay_labels") == 1


ROUTES = (
    ("GET", "/v1{}/models"),
    ("GET", "/v1{}/models/flight_delay"),
    ("POST", "/v1{}/models/flight_delay/events"),
    ("POST", "/v1{}/models/flight_delay/labels"),
)


async def status(service: ServiceProcess, method: str, path: str, key: str | None = None) -> int:
    def ask() -> int:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        body = json.dumps(events(1)).encode() if method == "POST" else None
        request = urllib.request.Request(f"http://{service.http}{path}", body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status
        except urllib.error.HTTPError as error:
            challenged = error.headers["WWW-Authenticate"] == "Bearer"
            return error.code if challenged is (error.code == 401) else -1

    return await asyncio.to_thread(ask)


async def test_the_http_door_asks_the_same(
    service: ServiceProcess, make_key: MakeKey, database: asyncpg.Connection
) -> None:
    all_of_main, reads, others = await make_key(), await make_key(Scope.READ), await make_key(project="other")
    async with wire_client(service.grpc, all_of_main) as client:
        await client.register()
    for method, path in ROUTES:
        for own in ("", "/projects/main"):
            assert await status(service, method, path.format(own)) == 401
            assert await status(service, method, path.format(own), new_key_text().shown()) == 401
            assert await status(service, method, path.format(own), all_of_main) == 200
        assert await status(service, method, path.format("/projects/main"), others) == 403
        assert await status(service, method, path.format("/projects/nowhere"), others) == 403
        if method == "POST":
            assert await status(service, method, path.format(""), reads) == 403
    assert await status(service, "GET", "/metrics") == 401
    assert await status(service, "GET", "/metrics", reads) == 200
    for path in ("/healthz", "/readyz", "/"):
        assert await status(service, "GET", path) == 200
    assert await database.fetchval("SELECT count(*) FROM headrace.requests WHERE project <> 'main'") == 0
