"""TLS and mutual TLS at both doors, and certificates that are renewed while the service runs."""

from __future__ import annotations

import asyncio
import http.client
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from support.authority import Authority
from support.service import ServiceProcess, running_service
from support.wire_client import WireClient, events, json_batch

# What a client sees that was not let in: in TLS 1.3 its own handshake is done before the server looks.
HUNG_UP = {"SSLError", "ConnectionResetError", "RemoteDisconnected"}


@asynccontextmanager
async def over_tls(
    service: ServiceProcess, root: bytes, certificate: bytes | None = None, key: bytes | None = None
) -> AsyncIterator[WireClient]:
    credentials = grpc.ssl_channel_credentials(root, key, certificate)
    async with grpc.aio.secure_channel(service.grpc, credentials) as channel:
        yield WireClient(channel)


async def grpc_code(client: WireClient) -> grpc.StatusCode:
    try:
        await client.register()
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def http_status(service: ServiceProcess, context: ssl.SSLContext) -> int | str:
    """The status of /healthz, or the name of the error the connection ends with."""

    def ask() -> int | str:
        connection = http.client.HTTPSConnection(service.http, context=context, timeout=20)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status
        except OSError as error:
            return type(error).__name__
        finally:
            connection.close()

    return await asyncio.to_thread(ask)


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.root.decode())


async def test_a_certificate_is_renewed_under_open_streams_and_a_bad_one_is_not_taken(
    database_url: str, tmp_path: Path
) -> None:
    old, new = Authority(), Authority()
    certificate, key = old.issue(tmp_path)
    variables = {"HEADRACE_TLS_CERTIFICATE": str(certificate), "HEADRACE_TLS_KEY": str(key)}
    async with running_service(database_url, **variables) as service:
        async with over_tls(service, old.root) as client:
            assert await grpc_code(client) is grpc.StatusCode.OK
            assert await http_status(service, trusting(old)) == 200
            async with grpc.aio.insecure_channel(service.grpc) as plain:
                assert await grpc_code(WireClient(plain)) is grpc.StatusCode.UNAVAILABLE
            stream = client.stream(timeout_s=120)
            await stream.open()
            assert await stream.settle(json_batch(events(2), seq=1)) is None

            key.write_bytes(b"half a fi")
            await service.logged("certificate_not_renewed")
            async with over_tls(service, old.root) as another:
                assert await grpc_code(another) is grpc.StatusCode.OK
            assert await http_status(service, trusting(old)) == 200

            new.issue(tmp_path)
            await service.logged("certificate_renewed")
            assert await stream.settle(json_batch(events(2, first=2), seq=2)) is None
        async with over_tls(service, new.root) as client:
            assert await grpc_code(client) is grpc.StatusCode.OK
        async with over_tls(service, old.root) as client:
            assert await grpc_code(client) is grpc.StatusCode.UNAVAILABLE
        assert await http_status(service, trusting(new)) == 200
        assert await http_status(service, trusting(old)) == "SSLCertVerificationError"


async def test_mutual_tls_lets_in_only_whom_the_authority_has_signed(database_url: str, tmp_path: Path) -> None:
    ours, strangers = Authority(), Authority()
    certificate, key = ours.issue(tmp_path)
    variables = {
        "HEADRACE_TLS_CERTIFICATE": str(certificate),
        "HEADRACE_TLS_KEY": str(key),
        "HEADRACE_TLS_CLIENT_CA": str(ours.write_root(tmp_path)),
    }
    async with running_service(database_url, **variables) as service:
        for authority, code, status in (
            (ours, "OK", {200}),
            (strangers, "UNAVAILABLE", HUNG_UP),
        ):
            shown, with_key = authority.issue(tmp_path, "client")
            async with over_tls(service, ours.root, shown.read_bytes(), with_key.read_bytes()) as client:
                assert (await grpc_code(client)).name == code
            context = trusting(ours)
            context.load_cert_chain(shown, with_key)
            assert await http_status(service, context) in status
        async with over_tls(service, ours.root) as client:
            assert await grpc_code(client) is grpc.StatusCode.UNAVAILABLE
        assert await http_status(service, trusting(ours)) in HUNG_UP
