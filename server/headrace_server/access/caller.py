"""Who is calling: set by the gate around each call and request, asked by whoever must know whose rows these are.

A context variable, since every call runs in a task of its own and the tasks it starts inherit it. There is no default:
code that asks outside of a call that was let in fails, rather than taking everybody for anybody.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from headrace.v1 import batch_pb2
from headrace_server.access.audit import Actor
from headrace_server.access.scope import EVERY_SCOPE, Scope
from headrace_server.errors import ProjectDeniedError, ScopeDeniedError

DEFAULT_PROJECT = "main"


@dataclass(frozen=True)
class Caller:
    """Whoever calls.

    Attributes:
        project: The credential's project; empty where no keys are asked for: then callers name theirs.
        scopes: What the caller may do.
        key_id: Id of the key; empty where no keys are asked for.
        origin: Address of the peer.
    """

    project: str
    scopes: frozenset[Scope]
    key_id: str
    origin: str

    @property
    def actor(self) -> Actor:
        """The caller, for the audit log."""
        return Actor(f"key:{self.key_id}" if self.key_id else "anybody", self.origin)

    def project_for(self, asserted: str) -> str:
        """Return the project of this caller's rows, which is the credential's, whatever the request says.

        Args:
            asserted: What the request says; empty: nothing.

        Raises:
            ProjectDeniedError: It says another. In the same words whether that exists or not.
        """
        if not self.project:
            return asserted or DEFAULT_PROJECT
        if asserted not in ("", self.project):
            raise ProjectDeniedError(f"project {asserted!r} is not yours")
        return self.project

    def may_send(self, kind: batch_pb2.RecordKind.ValueType) -> bool:
        """Tell whether the caller may send rows of this kind."""
        return scope_of(kind) in self.scopes

    def check_may_send(self, kind: batch_pb2.RecordKind.ValueType) -> None:
        """Let pass who may send rows of this kind.

        Raises:
            ScopeDeniedError: This caller may not.
        """
        if not self.may_send(kind):
            raise ScopeDeniedError(denial_of(kind))


def scope_of(kind: batch_pb2.RecordKind.ValueType) -> Scope:
    """Return the scope that rows of a kind need."""
    return Scope.LABEL if kind == batch_pb2.RECORD_KIND_LABELS else Scope.INGEST


def denial_of(kind: batch_pb2.RecordKind.ValueType) -> str:
    """Return the words for a caller who may not send rows of a kind."""
    known = kind in batch_pb2.RecordKind.values()
    name = batch_pb2.RecordKind.Name(kind).removeprefix("RECORD_KIND_") if known else str(kind)
    return f"the key lacks the scope {scope_of(kind)!r}, which rows of kind {name} need"


_current: ContextVar[Caller] = ContextVar("caller")


def anybody(origin: str) -> Caller:
    """Return the caller where no keys are asked for."""
    return Caller("", EVERY_SCOPE, "", origin)


def current_caller() -> Caller:
    """Return who is calling.

    Raises:
        LookupError: This is no call that was let in.
    """
    return _current.get()


@contextmanager
def called_by(caller: Caller) -> Iterator[Caller]:
    """Let the block run as a call of this caller."""
    token = _current.set(caller)
    try:
        yield caller
    finally:
        _current.reset(token)
