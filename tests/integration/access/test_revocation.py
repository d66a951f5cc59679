"""Keys that end: streams that they opened end too, soon, by name, and on every replica."""

from __future__ import annotations

import asyncio
from time import monotonic

import asyncpg
import grpc
import pytest

from headrace.v1 import key_service_pb2 as pb
from headrace.v1.key_service_pb2_grpc import KeyServiceStub
from headrace_server.access.scope import Scope
from integration.access.conftest import MakeKey, id_of
from support.service import ServiceProcess, running_service
from support.wire_client import WireStream, events, json_batch, told, wire_client

SOON_S = 30.0  # what is promised


async def until_ended(streams: list[WireStream]) -> float:
    """Wait until every stream has ended for its key; returns how long the last took, in seconds."""
    since = monotonic()
    async with asyncio.timeout(SOON_S):
        for code, reason, _ in await asyncio.gather(*(stream.end() for stream in streams)):
            assert (code, reason) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID")
    return monotonic() - since


async def test_revoking_a_key_ends_its_open_streams_on_every_replica_and_no_others(
    service: ServiceProcess, make_key: MakeKey, database_url: str, database: asyncpg.Connection
) -> None:
    revoked, other, admin = await make_key(Scope.INGEST), await make_key(), await make_key(Scope.ADMIN)
    async with running_service(database_url, HEADRACE_ACCESS_REQUIRE_KEYS="true") as replica:
        streams, stays = [], []
        async with (
            wire_client(service.grpc, revoked) as here,
            wire_client(replica.grpc, revoked) as there,
            wire_client(replica.grpc, other) as neighbour,
        ):
            await here.register()
            for client, kept in ((here, streams), (there, streams), (neighbour, stays)):
                for _ in range(5):
                    kept.append(stream := client.stream(timeout_s=120))
                    await stream.open()
            assert await streams[0].settle(json_batch(events(3), seq=1)) is None
            keys = KeyServiceStub(here.channel)
            metadata = (("authorization", f"Bearer {admin}"),)
            await keys.RevokeKey(pb.RevokeKeyRequest(id=id_of(revoked)), metadata=metadata, timeout=20)
            took_s = await until_ended(streams)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await here.publish(json_batch(events(1)))
            assert told(refused.value.trailing_metadata())[0] == "CREDENTIAL_INVALID"
            assert await stays[0].settle(json_batch(events(3, first=3), seq=1)) is None
    assert await database.fetchval("SELECT count(*) FROM main.flight_delay") == 6
    print(f"10 streams on two replicas ended {took_s * 1_000:.0f} ms after the key")


async def test_a_revocation_by_hand_whose_announcement_is_lost_is_noticed(
    service: ServiceProcess, make_key: MakeKey, database: asyncpg.Connection
) -> None:
    key = await make_key(Scope.INGEST)
    await database.execute("ALTER TABLE headrace.api_keys DISABLE TRIGGER USER")
    async with wire_client(service.grpc, key) as client:
        stream = client.stream(timeout_s=120)
        await stream.open()
        await database.execute("DELETE FROM headrace.api_keys WHERE id = $1", id_of(key))
        await until_ended([stream])


async def test_a_stream_lasts_no_longer_than_its_key(service: ServiceProcess, make_key: MakeKey) -> None:
    async with wire_client(service.grpc, await make_key(Scope.INGEST, for_s=1.5)) as client:
        stream = client.stream(timeout_s=120)
        await stream.open()
        await until_ended([stream])
        again = client.stream()
        await until_ended([again])


async def test_a_rotated_key_works_until_the_overlap_is_over(
    service: ServiceProcess, make_key: MakeKey, database: asyncpg.Connection
) -> None:
    old, admin = await make_key(Scope.INGEST), await make_key(Scope.ADMIN)
    async with wire_client(service.grpc, old) as client:
        keys, metadata = KeyServiceStub(client.channel), (("authorization", f"Bearer {admin}"),)
        stream = client.stream(timeout_s=120)
        await stream.open()
        request = pb.RotateKeyRequest(id=id_of(old), overlap_s=2)
        made = await keys.RotateKey(request, metadata=metadata, timeout=20)
        assert list(made.key.scopes) == [pb.SCOPE_INGEST]
        await client.register()
        async with wire_client(service.grpc, made.text) as renewed:
            await renewed.stream().open()
            await until_ended([stream])
            assert (await renewed.publish(json_batch(events(1)))).stored == 1
    acts = await database.fetch("SELECT act, actor, subject, project FROM headrace.audit_log WHERE act = 'rotate_key'")
    assert [tuple(act.values()) for act in acts] == [("rotate_key", f"key:{id_of(admin)}", made.key.id, "main")]
