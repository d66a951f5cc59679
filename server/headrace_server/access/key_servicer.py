"""KeyService over the keys' table: requests in, keys and new texts out. Raises HeadraceError."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from google.protobuf.timestamp_pb2 import Timestamp
from grpc.aio import ServicerContext

from headrace.v1 import key_service_pb2 as pb
from headrace.v1.key_service_pb2_grpc import KeyServiceServicer
from headrace_server.access import keys
from headrace_server.access.caller import Caller, current_caller
from headrace_server.access.keys import Key
from headrace_server.access.scope import Scope
from headrace_server.errors import KeyInvalidError, ScopeDeniedError
from headrace_server.storage.outage import told_as_unavailable

if TYPE_CHECKING:
    import asyncpg

ACQUIRE_TIMEOUT_S = 10.0

_SCOPES = {
    pb.SCOPE_INGEST: Scope.INGEST,
    pb.SCOPE_LABEL: Scope.LABEL,
    pb.SCOPE_READ: Scope.READ,
    pb.SCOPE_ADMIN: Scope.ADMIN,
}
_NUMBERS = {scope: number for number, scope in _SCOPES.items()}

Context = ServicerContext[Any, Any]


class KeyServicer(KeyServiceServicer):
    """Serves headrace.v1.KeyService.

    Args:
        pool: Connections to the database.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def CreateKey(self, request: pb.CreateKeyRequest, context: Context) -> pb.CreateKeyResponse:
        """Make a key."""
        caller = _holder()
        wanted = keys.NewKey(
            caller.project,
            request.name,
            frozenset(_scope(number) for number in request.scopes),
            _time(request.expires_at) if request.HasField("expires_at") else None,
        )
        with told_as_unavailable():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                text, key = await keys.create_key(connection, wanted, caller.actor)
        return pb.CreateKeyResponse(text=text.shown(), key=_to_proto(key))

    async def ListKeys(self, request: pb.ListKeysRequest, context: Context) -> pb.ListKeysResponse:
        """Return the project's keys."""
        caller = _holder()
        with told_as_unavailable():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                found = await keys.list_keys(connection, caller.project)
        return pb.ListKeysResponse(keys=[_to_proto(key) for key in found])

    async def RotateKey(self, request: pb.RotateKeyRequest, context: Context) -> pb.RotateKeyResponse:
        """Make a key in another's place."""
        caller, overlap = _holder(), timedelta(seconds=request.overlap_s)
        with told_as_unavailable():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                text, key = await keys.rotate_key(connection, caller.project, request.id, overlap, caller.actor)
        return pb.RotateKeyResponse(text=text.shown(), key=_to_proto(key))

    async def RevokeKey(self, request: pb.RevokeKeyRequest, context: Context) -> pb.RevokeKeyResponse:
        """End a key."""
        caller = _holder()
        with told_as_unavailable():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                key = await keys.revoke_key(connection, caller.project, request.id, caller.actor)
        return pb.RevokeKeyResponse(key=_to_proto(key))


def _holder() -> Caller:
    """Return the caller, who must hold a key: one that anybody could make now would open the door later."""
    caller = current_caller()
    if not caller.key_id:
        raise ScopeDeniedError("keys are managed with an admin key; the first is made by `headrace keys create`")
    return caller


def _scope(number: pb.Scope.ValueType) -> Scope:
    scope = _SCOPES.get(number)
    if scope is None:
        raise KeyInvalidError(f"{number} is no scope", fields={"scopes": f"{number} is none"})
    return scope


def _time(stamp: Timestamp) -> datetime:
    try:
        return stamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise KeyInvalidError("expires_at is no time", fields={"expires_at": "must be a time"}) from None


def _to_proto(key: Key) -> pb.Key:
    shown = pb.Key(
        id=key.id, project=key.project, name=key.name, scopes=[_NUMBERS[scope] for scope in sorted(key.scopes)]
    )
    for name in ("created_at", "expires_at", "revoked_at", "last_used_at"):
        at: datetime | None = getattr(key, name)
        if at is not None:
            getattr(shown, name).FromDatetime(at)
    return shown
