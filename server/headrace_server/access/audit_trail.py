"""Writes administrative calls down around their handlers, whatever service they belong to.

Which calls these are follows from the rules: those that only the scope admin opens. The line is there before the call
is begun, so that none is done without it; how the call ended is added after it. While the database is away no such call
is begun.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import structlog
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from headrace_server.access.audit import Act, conclude, record
from headrace_server.access.caller import Caller
from headrace_server.access.rules import is_recorded
from headrace_server.errors import HeadraceError
from headrace_server.storage.outage import told_as_unavailable

if TYPE_CHECKING:
    import asyncpg

ACQUIRE_TIMEOUT_S = 10.0
LARGEST_DETAILS_BYTES = 4_096
SUBJECTS = ("name", "model", "dataset", "id")  # fields by which requests name what they are about

log = structlog.get_logger(__name__)


class AuditTrail:
    """Writes calls down.

    Args:
        pool: Connections to the database.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    @asynccontextmanager
    async def around(self, method: str, request: Any, caller: Caller) -> AsyncIterator[None]:
        """Run the block, with its line in the audit log where the method is an administrative one.

        Raises:
            DatabaseUnavailableError: The line cannot be written; the block is not run.
        """
        if not is_recorded(method):
            yield
            return
        with told_as_unavailable():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                line = await record(connection, caller.actor, _act(method, request, caller), "asked")
        outcome = "failed"
        try:
            yield
            outcome = "done"
        except HeadraceError as error:
            outcome = error.reason
            raise
        finally:
            await self._conclude(line, outcome)

    async def _conclude(self, line: int, outcome: str) -> None:
        try:
            with told_as_unavailable():
                async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                    await conclude(connection, line, outcome)
        except HeadraceError as error:
            # The act has ended all the same; that it was asked for is written.
            log.warning("audit_line_not_concluded", line=line, outcome=outcome, error=error.message)


def _act(method: str, request: Any, caller: Caller) -> Act:
    project, subject, details = caller.project, "", {}
    if isinstance(request, Message):
        project = getattr(request, "project", "") or project
        named = (getattr(request, field, "") for field in SUBJECTS)
        subject = next((value for value in named if isinstance(value, str) and value), "")
        details = {"request": _shown(request)}
    return Act(method.rpartition("/")[2], _storable(project), _storable(subject), details)


def _shown(request: Message) -> str:
    if request.ByteSize() > LARGEST_DETAILS_BYTES:
        return f"{request.ByteSize()} bytes"
    return _storable(MessageToJson(request, preserving_proto_field_name=True, indent=None))


def _storable(text: str) -> str:
    """The text as both of PostgreSQL's texts and JSON take it: without NUL."""
    return text.replace("\0", "").replace("\\u0000", "")
