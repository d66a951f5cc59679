"""The room as the composition root sees it: what the doors ask, and what keeps the answers true while they are open."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from headrace_server.access import keys, quotas
from headrace_server.access.audit_trail import AuditTrail
from headrace_server.access.certificates import Certificates
from headrace_server.access.gate import Gate
from headrace_server.access.key_directory import KeyDirectory
from headrace_server.access.quotas import QuotaBook
from headrace_server.config import Access, Tls
from headrace_server.storage.listener import Follower

if TYPE_CHECKING:
    import asyncpg


class Entrance:
    """Everything that lets in or keeps out.

    Args:
        access: The settings.
        tls: The settings of TLS.
        pool: Connections to the database.

    Attributes:
        gate: Stands before every call.
        certificates: What the doors show; None: they speak plaintext.
        trail: Writes administrative calls down.
        quotas: What each project may take of this replica.
        followers: Who reads again what is announced in the database, by channel.

    Raises:
        CertificateError: The certificate cannot be used.
    """

    def __init__(self, access: Access, tls: Tls, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._directory = KeyDirectory(pool)
        self.gate = Gate(self._directory if access.require_keys else None)
        self.certificates = Certificates(tls) if tls.certificate is not None else None
        self.trail = AuditTrail(pool)
        self.quotas = QuotaBook(pool)
        self.followers: Mapping[str, Follower] = {
            keys.CHANNEL: self._directory.read_again,
            quotas.CHANNEL: self.quotas.read_again,
        }

    async def run(self) -> None:
        """Notice what nobody announces, for as long as the service runs."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._directory.run())
            if self.certificates is not None:
                tasks.create_task(self.certificates.run())
