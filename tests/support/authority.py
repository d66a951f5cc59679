"""A certificate authority of the tests, and the files it fills."""

from __future__ import annotations

from pathlib import Path

import trustme


class Authority:
    """An authority that nobody else trusts.

    Attributes:
        root: Its certificate, PEM.
    """

    def __init__(self) -> None:
        self._ca = trustme.CA()
        self.root = self._ca.cert_pem.bytes()

    def issue(self, folder: Path, name: str = "service") -> tuple[Path, Path]:
        """Write a certificate for this machine and its key, over what was there; returns both paths."""
        issued = self._ca.issue_cert("localhost", "127.0.0.1")
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        key.write_bytes(issued.private_key_pem.bytes())
        certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        return certificate, key

    def write_root(self, folder: Path, name: str = "ca") -> Path:
        """Write its certificate; returns the path."""
        path = folder / f"{name}.pem"
        path.write_bytes(self.root)
        return path
