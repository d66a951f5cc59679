"""KeyService: a project's admin manages the project's keys, and nobody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import grpc
import pytest

from headrace.v1 import key_service_pb2 as pb
from headrace.v1.key_service_pb2_grpc import KeyServiceStub
from headrace_server.access.scope import Scope
from integration.access.conftest import MakeKey, id_of
from support.service import ServiceProcess, running_service
from support.wire_client import told


class Admin:
    """KeyService under one key."""

    def __init__(self, channel: grpc.aio.Channel, key: str) -> None:
        self._stub = KeyServiceStub(channel)
        self._metadata = (("authorization", f"Bearer {key}"),)

    async def __call__(self, method: str, request: object) -> object:
        return await getattr(self._stub, method)(request, metadata=self._metadata, timeout=20)

    async def refusal(self, method: str, request: object) -> str:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await self(method, request)
        return told(refused.value.trailing_metadata())[0]


@pytest.fixture
async def admin(service: ServiceProcess, make_key: MakeKey) -> AsyncIterator[Admin]:
    async with grpc.aio.insecure_channel(service.grpc) as channel:
        yield Admin(channel, await make_key(Scope.ADMIN))


async def test_a_key_is_made_used_listed_and_kept_as_a_hash_alone(
    admin: Admin, service: ServiceProcess, database: asyncpg.Connection
) -> None:
    wanted = pb.CreateKeyRequest(name="a further admin", scopes=[pb.SCOPE_ADMIN, pb.SCOPE_READ])
    wanted.expires_at.FromDatetime(datetime.now(UTC) + timedelta(days=1))
    made = await admin("CreateKey", wanted)
    assert (made.key.project, made.key.name) == ("main", "a further admin")
    async with grpc.aio.insecure_channel(service.grpc) as channel:
        listed = await Admin(channel, made.text)("ListKeys", pb.ListKeysRequest(project="main"))
    assert listed.keys[0].id == made.key.id
    assert len(listed.keys) == 2
    secret = made.text.split("_")[2]
    stored = await database.fetch(
        "SELECT k::text FROM headrace.api_keys k UNION ALL SELECT a::text FROM headrace.audit_log a"
    )
    assert not [row for row in stored if secret[:20] in row[0]]


async def test_what_cannot_be_made_is_told_field_by_field(admin: Admin) -> None:
    past = pb.CreateKeyRequest(name="x", scopes=[pb.SCOPE_READ])
    past.expires_at.FromDatetime(datetime(2020, 1, 1, tzinfo=UTC))
    for request in (
        pb.CreateKeyRequest(name="no scope"),
        pb.CreateKeyRequest(name="no such scope", scopes=[77]),
        pb.CreateKeyRequest(name="", scopes=[pb.SCOPE_READ]),
        pb.CreateKeyRequest(name="nul\0", scopes=[pb.SCOPE_READ]),
        past,
    ):
        assert await admin.refusal("CreateKey", request) == "KEY_INVALID"
    assert await admin.refusal("RotateKey", pb.RotateKeyRequest(id="a", overlap_s=2**32 - 1)) == "KEY_INVALID"
    for key_id in ("", "unknown", "nul\0"):
        assert await admin.refusal("RevokeKey", pb.RevokeKeyRequest(id=key_id)) == "KEY_NOT_FOUND"


async def test_keys_of_another_project_do_not_exist_for_it(admin: Admin, make_key: MakeKey) -> None:
    theirs = id_of(await make_key(project="other"))
    assert await admin.refusal("RevokeKey", pb.RevokeKeyRequest(id=theirs)) == "KEY_NOT_FOUND"
    assert await admin.refusal("RotateKey", pb.RotateKeyRequest(id=theirs)) == "KEY_NOT_FOUND"
    listed = await admin("ListKeys", pb.ListKeysRequest())
    assert theirs not in [key.id for key in listed.keys]


async def test_a_key_that_has_ended_is_revoked_again_without_a_word_but_not_rotated(
    admin: Admin, make_key: MakeKey, database: asyncpg.Connection
) -> None:
    key = id_of(await make_key(Scope.READ))
    first = await admin("RevokeKey", pb.RevokeKeyRequest(id=key))
    again = await admin("RevokeKey", pb.RevokeKeyRequest(id=key))
    assert first == again
    assert await database.fetchval("SELECT count(*) FROM headrace.audit_log WHERE act = 'revoke_key'") == 1
    assert await admin.refusal("RotateKey", pb.RotateKeyRequest(id=key)) == "KEY_NOT_FOUND"


async def test_a_service_that_asks_for_no_keys_makes_none(database_url: str) -> None:
    async with running_service(database_url) as service, grpc.aio.insecure_channel(service.grpc) as channel:
        anybody = Admin(channel, "")
        wanted = pb.CreateKeyRequest(name="for later", scopes=[pb.SCOPE_ADMIN])
        assert await anybody.refusal("CreateKey", wanted) == "SCOPE_DENIED"
