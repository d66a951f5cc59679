import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from headrace_server.access.caller import current_caller
from headrace_server.access.gate import Gate
from headrace_server.access.key_text import new_key_text
from headrace_server.access.keys import Key
from headrace_server.access.scope import EVERY_SCOPE, Scope
from headrace_server.errors import CredentialInvalidError, ScopeDeniedError

LIST = "/headrace.v1.ModelService/ListModels"
UPDATE = "/headrace.v1.ModelService/UpdateModel"
TEXT = new_key_text()
BEARER = f"Bearer {TEXT.shown()}"
KEY = Key(TEXT.id, "ours", "test", EVERY_SCOPE, TEXT.hash(), datetime.now(UTC), None, None, None)


class Directory:
    """Knows one key, and whoever watches it."""

    def __init__(self, key=KEY):
        self.key = key
        self.watchers = []

    async def find(self, presented):
        if not presented.opens(self.key.hash):
            raise CredentialInvalidError("the key is unknown")
        return self.key

    def watch(self, key_id, watcher):
        self.watchers.append(watcher)
        return lambda: self.watchers.remove(watcher)


async def enter(gate, method=LIST, authorization=BEARER, within=asyncio.sleep):
    async with gate.let_in(method, authorization, "here"):
        await within(0)
        return current_caller()


@pytest.mark.parametrize("directory", [None, Directory()], ids=["no keys", "keys"])
async def test_a_method_without_a_line_in_the_rules_is_refused_whoever_calls(directory):
    with pytest.raises(ScopeDeniedError, match=r"no line in access/rules\.py"):
        await enter(Gate(directory), "/headrace.v1.NewService/NewMethod")


async def test_where_no_keys_are_asked_for_anybody_may_do_anything():
    caller = await enter(Gate(None), UPDATE, authorization="")
    assert (caller.project, caller.scopes, caller.key_id) == ("", EVERY_SCOPE, "")


async def test_with_keys_the_caller_is_whom_the_key_says_and_health_is_open():
    caller = await enter(Gate(Directory()))
    assert (caller.project, caller.key_id, caller.origin) == ("ours", TEXT.id, "here")
    assert (await enter(Gate(Directory()), "/grpc.health.v1.Health/Check", "")).key_id == ""


@pytest.mark.parametrize(
    "text",
    ["", "Bearer", "Bearer ", "Basic eDp5", TEXT.shown(), BEARER + "x"],
    ids=["nothing", "a scheme", "no key", "another scheme", "no scheme", "a damaged key"],
)
async def test_what_is_no_credential_is_refused(text):
    with pytest.raises(CredentialInvalidError):
        await enter(Gate(Directory()), authorization=text)


async def test_the_scheme_may_be_written_in_any_case():
    assert await enter(Gate(Directory()), authorization=f"bEARER  {TEXT.shown()} ")


async def test_a_key_opens_only_what_its_scopes_open():
    gate = Gate(Directory(replace(KEY, scopes=frozenset({Scope.READ}))))
    assert await enter(gate, LIST)
    with pytest.raises(ScopeDeniedError, match="'admin'"):
        await enter(gate, UPDATE)


@pytest.mark.parametrize(
    "change", [lambda: None, lambda: replace(KEY, revoked_at=datetime.now(UTC))], ids=["deleted", "revoked"]
)
async def test_a_call_ends_when_its_key_does(change):
    directory, began = Directory(), asyncio.Event()

    async def endless(_):
        began.set()
        await asyncio.Event().wait()

    call = asyncio.create_task(enter(Gate(directory), within=endless))
    await began.wait()
    directory.watchers[0](KEY)  # a change that ends nothing
    directory.watchers[0](change())
    with pytest.raises(CredentialInvalidError, match="expired or was revoked"):
        await call
    assert not directory.watchers


async def test_a_call_lasts_no_longer_than_its_key():
    soon = replace(KEY, expires_at=datetime.now(UTC) + timedelta(milliseconds=50))
    with pytest.raises(CredentialInvalidError):
        await enter(Gate(Directory(soon)), within=lambda _: asyncio.Event().wait())


async def test_a_time_limit_of_the_call_s_own_stays_what_it_is():
    async def slow(_):
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await enter(Gate(Directory()), within=slow)


async def test_outside_of_the_call_nobody_is_calling():
    await enter(Gate(Directory()))
    with pytest.raises(LookupError):
        current_caller()
