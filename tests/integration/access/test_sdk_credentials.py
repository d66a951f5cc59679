"""The SDK with TLS and a key in files, beyond loopback; both are renewed while it runs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg

import headrace
from headrace_server.access.audit import Actor
from headrace_server.access.keys import NewKey, create_key, revoke_key
from headrace_server.access.scope import Scope
from support.authority import Authority
from support.service import running_service

ME = Actor("test", "here")
COLUMNS = headrace.Schema.infer([{"distance": 1.0, "score": 0.5}], features=["distance"], predictions=["score"])


async def test_rows_wait_for_a_renewed_key_and_nothing_secret_is_logged(database_url: str, tmp_path: Path) -> None:
    authority = Authority()
    certificate, key = authority.issue(tmp_path)
    variables = {
        "HEADRACE_TLS_CERTIFICATE": str(certificate),
        "HEADRACE_TLS_KEY": str(key),
        "HEADRACE_ACCESS_REQUIRE_KEYS": "true",
        "HEADRACE_LISTEN_GRPC_HOST": "0.0.0.0",
        "HEADRACE_LOG_LEVEL": "debug",
    }
    secret_url = database_url.replace("headrace@", "headrace:hunter2secret@", 1)
    assert "hunter2secret" in secret_url
    async with running_service(secret_url, **variables) as service:
        database = await asyncpg.connect(database_url)
        wanted = NewKey("main", "sdk", frozenset({Scope.INGEST}), None)
        first, stored = await create_key(database, wanted, ME)
        key_file = tmp_path / "key"
        key_file.write_text(first.shown() + "\n")
        tls = headrace.Tls(roots=authority.write_root(tmp_path))
        address = service.grpc.replace("0.0.0.0", "localhost")

        def use() -> headrace.Client:
            client = headrace.connect(address, api_key=key_file, tls=tls)
            model = client.register(COLUMNS, name="quickstart", version="v1")
            model.log(features={"distance": 1.0}, prediction=0.5)
            client.flush(60)
            return client

        client = await asyncio.to_thread(use)
        await revoke_key(database, None, stored.id, ME)
        client.model("quickstart").log(features={"distance": 2.0}, prediction=0.5)
        second, _ = await create_key(database, wanted, ME)
        key_file.write_text(second.shown())
        await asyncio.to_thread(client.close, 60)
        assert await database.fetchval("SELECT count(*) FROM main.quickstart") == 2
        await database.close()
    logged = "".join(str(line) for line in service.logs)
    assert service.logs
    for secret in (first.secret, second.secret, "hunter2secret"):
        assert secret not in logged
