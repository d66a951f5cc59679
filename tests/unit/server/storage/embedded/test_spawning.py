"""Programs started out of a process whose gRPC threads are busy, as the service's are when its database dies."""

from __future__ import annotations

import asyncio
import os
import pwd

import grpc
import pytest

from headrace_server.storage.embedded.account import Account
from headrace_server.storage.embedded.command import run
from headrace_server.storage.embedded.errors import CommandError

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run programs as others")


@pytest.fixture
def nobody() -> Account:
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


@needs_root
async def test_a_program_runs_as_its_account_and_in_none_of_our_groups(nobody: Account) -> None:
    printed = await run(["sh", "-c", "id -u; id -g; id -G; umask"], timeout_s=10, account=nobody)
    assert printed.split() == [str(nobody.uid), str(nobody.gid), str(nobody.gid), "0022"]


@needs_root
async def test_a_missing_program_is_named_for_another_account_too(nobody: Account) -> None:
    with pytest.raises(CommandError, match="no-such-program could not be started"):
        await run(["no-such-program"], timeout_s=10, account=nobody)


@needs_root
async def test_programs_start_however_busy_grpc_is(nobody: Account) -> None:
    async def echo(request: bytes, _: object) -> bytes:
        return request

    server = grpc.aio.server()
    handlers = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Test", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    ending = asyncio.Event()

    async def keep_busy(channel: grpc.aio.Channel) -> None:
        call = channel.unary_unary("/test.Test/Echo")
        while not ending.is_set():
            await call(b"x" * 1_000)

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        busy = [asyncio.create_task(keep_busy(channel)) for _ in range(8)]
        try:
            for number in range(15):
                assert await run(["echo", str(number)], timeout_s=10, account=nobody) == f"{number}\n"
        finally:
            ending.set()
            await asyncio.gather(*busy)
            await server.stop(0)
