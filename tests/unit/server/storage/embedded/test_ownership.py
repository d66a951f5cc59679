from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace_server.storage.embedded.errors import DataDirectoryError, DataDirectoryInUseError
from headrace_server.storage.embedded.ownership import Ownership, owner

HOLDER = """
import sys, pathlib
from headrace_server.storage.embedded.ownership import Ownership
Ownership(pathlib.Path(sys.argv[1])).take() or print("taken", flush=True)
sys.stdin.read()
"""


def test_a_second_owner_is_told_who_the_first_is(tmp_path: Path) -> None:
    first, second = Ownership(tmp_path / "lock"), Ownership(tmp_path / "lock")
    first.take()
    with pytest.raises(DataDirectoryInUseError, match=f"{tmp_path}.*process {os.getpid()}") as refused:
        second.take()
    assert (refused.value.folder, refused.value.pid) == (tmp_path, os.getpid())
    first.release()


def test_what_was_released_can_be_taken_again(tmp_path: Path) -> None:
    first, second = Ownership(tmp_path / "lock"), Ownership(tmp_path / "lock")
    first.take()
    first.release()
    first.release()
    assert owner(tmp_path / "lock") is None
    second.take()
    second.release()


def test_a_killed_owner_leaves_the_directory_free(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "taken\n"
        assert owner(lock) == holder.pid
        with pytest.raises(DataDirectoryInUseError, match=str(holder.pid)):
            Ownership(lock).take()
        holder.kill()
        holder.wait(10)
    assert owner(lock) is None
    heir = Ownership(lock)
    heir.take()
    heir.release()


def test_a_symbolic_link_for_a_lock_is_refused(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "lock").symlink_to(tmp_path / "victim")
    with pytest.raises(DataDirectoryError):
        Ownership(tmp_path / "lock").take()
    assert (tmp_path / "victim").read_text() == "precious"
