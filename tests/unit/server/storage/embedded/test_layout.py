from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from headrace_server.storage.embedded.account import Account
from headrace_server.storage.embedded.errors import DataDirectoryError, PortInUseError
from headrace_server.storage.embedded.layout import (
    LONGEST_SOCKET_PATH,
    Access,
    DataDirectory,
    make_folder,
    replace_file,
)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_port_and_password_are_chosen_once_and_remembered(tmp_path: Path) -> None:
    first = DataDirectory(tmp_path).choose_access(None)
    assert DataDirectory(tmp_path).choose_access(None) == first
    assert DataDirectory(tmp_path).read_access() == first
    assert len(first.password) >= 32


def test_the_password_is_for_its_owner_only(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    directory.choose_access(None)
    assert mode_of(directory.access) == 0o600


def test_a_remembered_port_that_was_taken_is_replaced_and_the_password_kept(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    first = directory.choose_access(None)
    with socket.create_server(("127.0.0.1", first.port)):
        second = directory.choose_access(None)
    assert second.port != first.port
    assert second.password == first.password
    assert directory.read_access() == second


def test_a_port_asked_for_by_name_is_refused_when_it_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=str(port)):
            DataDirectory(tmp_path).choose_access(port)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"port": 1}', '{"port": "x", "password": "y"}'])
def test_a_damaged_access_file_is_made_anew(tmp_path: Path, content: str) -> None:
    directory = DataDirectory(tmp_path)
    directory.access.write_text(content)
    assert directory.read_access() is None
    assert directory.read_access() != directory.choose_access(None)


def test_the_socket_lies_within_while_its_path_is_short(tmp_path: Path) -> None:
    assert DataDirectory(Path("/var/lib/headrace/data")).socket_folder == Path("/var/lib/headrace/data/socket")


def test_the_socket_moves_to_a_short_folder_when_its_path_would_be_too_long(tmp_path: Path) -> None:
    deep, other = DataDirectory(tmp_path / ("d" * 120)), DataDirectory(tmp_path / ("e" * 120))
    assert len(os.fsencode(deep.socket(65535))) <= LONGEST_SOCKET_PATH
    assert deep.socket_folder != other.socket_folder
    deep.prepare_socket_folder(None)
    try:
        assert mode_of(deep.socket_folder) == 0o700
        deep.prepare_socket_folder(None)  # a second start finds it
    finally:
        deep.socket_folder.rmdir()


def test_a_socket_folder_laid_by_somebody_else_is_refused(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    directory.socket_folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataDirectoryError, match="belongs to somebody else"):
        directory.prepare_socket_folder(None)


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(DataDirectoryError, match=r"thesis\.tex"):
        DataDirectory(tmp_path).prepare(None)


def test_the_data_directory_is_closed_to_others(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path / "data")
    directory.prepare(None)
    assert mode_of(directory.folder) == 0o700


def test_another_account_that_cannot_come_through_is_named_with_the_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(DataDirectoryError, match=rf"somebody.*{tmp_path.parent.parent.name}"):
        DataDirectory(tmp_path / "data").prepare(Account("somebody", 54321, 54321))


def test_made_folders_can_be_passed_through_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        make_folder(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "a") == mode_of(tmp_path / "a" / "b") == 0o755


def test_the_urls_name_the_socket_and_the_loopback_door() -> None:
    directory = DataDirectory(Path("/var/lib/head race/data"))
    assert directory.socket_url(5) == "postgresql://headrace@/headrace?host=/var/lib/head%20race/data/socket&port=5"
    assert directory.loopback_url(Access(5, "p-w")) == "postgresql://headrace:p-w@127.0.0.1:5/headrace"


def test_a_file_that_would_not_change_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_file(path, "one", mode=0o600)
    before = path.stat()
    replace_file(path, "one", mode=0o600)
    assert path.stat().st_ino == before.st_ino
    replace_file(path, "two", mode=0o600)
    assert path.read_text() == "two"


def test_the_major_version_is_read_from_the_data(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    assert directory.major is None
    directory.cluster.mkdir()
    (directory.cluster / "PG_VERSION").write_text("17\n")
    assert directory.major == 17
