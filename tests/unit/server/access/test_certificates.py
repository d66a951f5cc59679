from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from headrace_server.access.certificates import CertificateError, Certificates
from headrace_server.config import Tls
from support.authority import Authority


@pytest.fixture
def files(tmp_path: Path) -> Tls:
    certificate, key = Authority().issue(tmp_path)
    return Tls(certificate=certificate, key=key, client_ca=Authority().write_root(tmp_path))


@pytest.mark.parametrize("missing", ["certificate", "key", "client_ca"])
def test_a_file_that_is_not_there_is_named(files: Tls, missing: str) -> None:
    path: Path = getattr(files, missing)
    path.unlink()
    with pytest.raises(CertificateError, match=f"{path} cannot be read"):
        Certificates(files)


@pytest.mark.parametrize("spoiled", ["certificate", "key", "client_ca"])
def test_what_is_no_pem_cannot_be_used(files: Tls, spoiled: str) -> None:
    getattr(files, spoiled).write_bytes(b"\xff not a PEM")
    with pytest.raises(CertificateError, match="cannot be used"):
        Certificates(files)


def test_a_key_of_another_certificate_cannot_be_used(files: Tls, tmp_path: Path) -> None:
    _, other = Authority().issue(tmp_path, "other")
    with pytest.raises(CertificateError, match="cannot be used"):
        Certificates(files.model_copy(update={"key": other}))


def test_an_encrypted_key_is_refused_rather_than_asked_for_on_the_terminal(files: Tls) -> None:
    assert files.key is not None
    plain = load_pem_private_key(files.key.read_bytes(), None)
    secret = BestAvailableEncryption(b"hunter2")
    files.key.write_bytes(plain.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret))
    with pytest.raises(CertificateError, match="passphrase"):
        Certificates(files)


def test_only_new_and_good_files_are_taken_and_bad_ones_are_told_once(files: Tls, tmp_path: Path) -> None:
    certificates = Certificates(files)
    assert not certificates.look()
    assert files.key is not None
    files.key.write_bytes(b"half a ke")
    with pytest.raises(CertificateError):
        certificates.look()
    assert not certificates.look()
    Authority().issue(tmp_path)
    assert certificates.look()
    assert not certificates.look()
