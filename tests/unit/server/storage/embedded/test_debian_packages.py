from __future__ import annotations

from pathlib import Path

import pytest

from headrace_server.storage.embedded import debian_packages
from headrace_server.storage.embedded.debian_packages import WANTED, Archive, archives

INDEXES = """\
http://mirror.test/debian/ bookworm main
http://mirror.test/debian/ bookworm contrib
http://mirror.test/debian/ bookworm-updates main
http://security.test/debian-security/ bookworm-security main
http://vendor.test/apt/ bookworm-pgdg main
http://other.test/debian/ bookworm main
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose apt names the indexes above; its keyrings and os-release are for the test to lay out."""
    for program, script in {"apt-get": f"cat <<'END'\n{INDEXES}END", "dpkg-deb": ":"}.items():
        (tmp_path / program).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(debian_packages, "KEYRING_FOLDER", tmp_path)
    monkeypatch.setattr(debian_packages, "OS_RELEASE", tmp_path / "os-release")
    return tmp_path


def test_debian_takes_its_newer_release_from_its_own_mirrors(machine: Path) -> None:
    (machine / "os-release").write_text('ID=debian\nVERSION_CODENAME=bookworm\nNAME="Debian"\n')
    (machine / "debian-archive-keyring.gpg").touch()
    keyring = machine / "debian-archive-keyring.gpg"
    assert archives() == [
        Archive("http://mirror.test/debian/", "trixie", "main", keyring),
        Archive("http://other.test/debian/", "trixie", "main", keyring),
    ]


def test_ubuntu_and_its_kin_take_their_own_release(machine: Path) -> None:
    (machine / "os-release").write_text('ID=linuxmint\nID_LIKE="ubuntu debian"\nUBUNTU_CODENAME=questing\n')
    (machine / "ubuntu-archive-keyring.gpg").touch()
    assert str(archives()[0]) == "http://mirror.test/debian/ questing"
    assert {archive.components for archive in archives()} == {"main universe"}


def test_another_system_offers_nothing(machine: Path) -> None:
    (machine / "os-release").write_text("ID=fedora\n")
    assert archives() == []


def test_without_the_keyring_nothing_is_trusted(machine: Path) -> None:
    (machine / "os-release").write_text("ID=debian\nVERSION_CODENAME=bookworm\n")
    assert archives() == []


def test_without_apt_there_is_nothing(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert archives() == []


@pytest.mark.parametrize(
    "package", ["libc6", "zlib1g", "libicu76", "postgresql-17", "postgresql-client-17", "postgresql-17-timescaledb"]
)
def test_libraries_and_postgresql_are_taken(package: str) -> None:
    assert WANTED.fullmatch(package)


@pytest.mark.parametrize(
    "package",
    ["libllvm19", "libz3-4", "libperl5.40", "libjson-perl", "perl-base", "postgresql-common", "openssl", "locales"],
)
def test_what_only_the_distribution_needs_is_left_out(package: str) -> None:
    assert not WANTED.fullmatch(package)


def test_a_mirrors_password_is_not_shown() -> None:
    assert str(Archive("https://me:secret@mirror.test/debian/", "trixie", "main", Path("/k"))) == (
        "https://mirror.test/debian/ trixie"
    )
