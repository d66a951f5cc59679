"""The gate before every call and request: which method, with which credential, let in or refused; and out again.

A call lasts no longer than its key: a deadline around it fires when the key expires, and is moved to now when the key
is revoked, wherever that was done. So a stream that was let in an hour ago ends as one that comes now is refused.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from headrace_server.access.caller import Caller, anybody, called_by
from headrace_server.access.key_directory import KeyDirectory
from headrace_server.access.key_text import KeyText, parse
from headrace_server.access.keys import Key
from headrace_server.access.rules import is_open, scopes_for
from headrace_server.errors import CredentialInvalidError, ScopeDeniedError

BEARER = "bearer "
LONGEST_TIMER_S = 86_400.0 * 365


class Gate:
    """Lets calls in.

    Args:
        directory: Knows the keys; None where none are asked for.
    """

    def __init__(self, directory: KeyDirectory | None) -> None:
        self._directory = directory

    @asynccontextmanager
    async def let_in(self, method: str, authorization: str, origin: str) -> AsyncIterator[Caller]:
        """Run the block as a call of the method.

        Args:
            method: Full name, `/package.Service/Method`.
            authorization: The header of this name; empty: there is none.
            origin: Address of the peer.

        Raises:
            CredentialInvalidError: The credential is missing or not good; in the middle of the block: no longer good.
            ScopeDeniedError: It is good, but not for this method; or the method has no line in access/rules.py.
            DatabaseUnavailableError, OverloadedError: The key cannot be looked up now.
        """
        scopes = scopes_for(method)
        if not scopes and not is_open(method):
            raise ScopeDeniedError(f"nobody may call {method}: it has no line in access/rules.py")
        if self._directory is None or is_open(method):
            with called_by(anybody(origin)) as caller:
                yield caller
            return
        key = await self._directory.find(_presented(authorization))
        if not scopes & key.scopes:
            needed = " or ".join(repr(str(scope)) for scope in sorted(scopes))
            raise ScopeDeniedError(f"the key {key.id} lacks the scope {needed}")
        async with _while_good(self._directory, key):
            with called_by(Caller(key.project, key.scopes, key.id, origin)) as caller:
                yield caller


def _presented(authorization: str) -> KeyText:
    """Return the key in a header; how a missing or misshapen one is told says nothing of those that exist."""
    if authorization[: len(BEARER)].lower() != BEARER:
        raise CredentialInvalidError("a key is needed: authorization: Bearer hr_…")
    presented = parse(authorization[len(BEARER) :].strip())
    if presented is None:
        raise CredentialInvalidError("this is no key: it was cut or mistyped")
    return presented


@asynccontextmanager
async def _while_good(directory: KeyDirectory, key: Key) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()

    def end_of(now: Key | None) -> float | None:
        left_s = 0.0 if now is None else now.left_s
        return None if left_s is None else loop.time() + min(left_s, LONGEST_TIMER_S)

    def move(now: Key | None) -> None:
        if not deadline.expired():
            deadline.reschedule(end_of(now))

    try:
        async with asyncio.timeout_at(end_of(key)) as deadline:
            unwatch = directory.watch(key.id, move)
            try:
                yield
            finally:
                unwatch()
    except TimeoutError:
        if deadline.expired():
            raise CredentialInvalidError(f"the key {key.id} has expired or was revoked") from None
        raise
