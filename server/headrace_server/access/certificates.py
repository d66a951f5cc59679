"""The service's certificate, its key, and whom clients must be signed by; read again while the service runs.

In: the files that the settings name. Out: credentials for the gRPC door and a TLS context for the HTTP door, which both
show what was read last. The files are looked at every LOOK_S; new ones that are good are taken for the connections that
come, open ones stay as they are. New ones that are not good (a key of another certificate, half a file) are told in the
log, and the old ones stay: a renewal that fails closes no door.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import grpc
import structlog

from headrace_server.config import Tls

LOOK_S = 5.0

log = structlog.get_logger(__name__)


class CertificateError(Exception):
    """The certificate cannot be used; the text says which file, and why."""


@dataclass(frozen=True)
class _Pems:
    """What the files hold. They are small, and compared whole: a renewal may keep size and time."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None

    @staticmethod
    def read(files: Tls) -> "_Pems":
        assert files.certificate is not None and files.key is not None  # noqa: S101, PT018 — settings that agree
        return _Pems(
            _content(files.certificate), _content(files.key), _content(files.client_ca) if files.client_ca else None
        )


class Certificates:
    """What the doors show, and ask for.

    Args:
        files: The settings.

    Raises:
        CertificateError: A file cannot be read, or they do not belong together.
    """

    def __init__(self, files: Tls) -> None:
        self._files = files
        self._pems = _Pems.read(files)
        self._context = _context(files, self._pems)
        self._renewed: grpc.ServerCertificateConfiguration | None = None
        self._refused: _Pems | None = None
        self.for_http = _context(files, self._pems)
        """The HTTP door's context; at each handshake it steps aside for what was read last."""
        self.for_http.sni_callback = self._step_aside

    def for_grpc(self) -> grpc.ServerCredentials:
        """Return the gRPC door's credentials; gRPC asks at each handshake whether there is something new."""
        return grpc.dynamic_ssl_server_credentials(
            _configuration(self._pems),
            cast(Callable[[], grpc.ServerCertificateConfiguration], self._news),  # the stubs know no "nothing new"
            require_client_authentication=self._pems.client_ca is not None,
        )

    async def run(self) -> None:
        """Look at the files for as long as the service runs."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                if await asyncio.to_thread(self.look):
                    log.info("certificate_renewed", certificate=str(self._files.certificate))
            except CertificateError as error:
                log.error("certificate_not_renewed", error=str(error))

    def look(self) -> bool:
        """Take what the files hold when it is new; tells whether it was.

        Raises:
            CertificateError: It is new and not good; said once.
        """
        pems = _Pems.read(self._files)
        if pems in (self._pems, self._refused):
            return False
        self._refused = pems
        self._context = _context(self._files, pems)
        self._pems, self._renewed = pems, _configuration(pems)
        return True

    def _news(self) -> grpc.ServerCertificateConfiguration | None:
        # On a thread of gRPC's. None: nothing new. Two handshakes at once may both be given the news, which harms not.
        renewed, self._renewed = self._renewed, None
        return renewed

    def _step_aside(self, handshake: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _: ssl.SSLContext) -> None:
        handshake.context = self._context


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(f"{path} cannot be read: {error.strerror}") from error


def _context(files: Tls, pems: _Pems) -> ssl.SSLContext:
    """A context of the files, TLS 1.2 at least; also the proof that they are good.

    They are read once more, since the ssl module takes a chain from files alone. Should they change just now, the look
    after this one finds them different from `pems`.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(str(files.certificate), str(files.key), password=_no_password)
        if pems.client_ca is not None:
            context.load_verify_locations(cadata=pems.client_ca.decode())
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ValueError) as error:  # SSLError is an OSError
        raise CertificateError(f"{files.certificate} with {files.key} cannot be used: {error}") from error
    return context


def _no_password() -> str:
    # Without this the process would stop and ask on the terminal.
    raise ValueError("the key is encrypted: give it without a passphrase, readable by the service alone")


def _configuration(pems: _Pems) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pems.key, pems.certificate)], root_certificates=pems.client_ca)
