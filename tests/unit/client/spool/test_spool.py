"""The spool of a process: a store for each lane while there is room, and a word for it where there is none."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

import headrace
from headrace import Settings
from headrace.spool.directory import SpoolDirectory
from headrace.spool.spool import Spool
from headrace.spool.store import SpoolFullError


def make(folder: Path) -> Spool:
    return Spool(Settings(spool_dir=folder), "main")


def fill_disk(monkeypatch: pytest.MonkeyPatch, error: int = errno.ENOSPC) -> None:
    """From now on no folder can be made."""

    def full(_: SpoolDirectory) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(SpoolDirectory, "new_folder", full)


def test_a_directory_that_cannot_be_one_is_an_error_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(headrace.InvalidArgumentError, match=r"spool_dir=.*taken"):
        make(tmp_path / "taken")


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_without_room_is_no_error_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    fill_disk(monkeypatch, error)
    with pytest.raises(SpoolFullError, match="no spool can be made"):
        make(tmp_path)


def test_children_of_children_fork_on_a_full_disk_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = make(tmp_path)
    fill_disk(monkeypatch)
    for _ in range(2):
        spool.after_fork_in_child()
        with pytest.raises(SpoolFullError, match="after a fork"):
            spool.store("events")
    monkeypatch.undo()
    spool.after_fork_in_child()
    spool.store("events").close()
    spool.close()
    assert len(list(tmp_path.iterdir())) == 1, "the parent's, whose process has to remove it"


def test_a_child_that_lives_on_does_not_keep_its_parents_folder_from_an_heir(tmp_path: Path) -> None:
    spool = make(tmp_path)
    spool.store("events")
    (told, tell), (awaited, end) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(end)
        spool.after_fork_in_child()
        os.write(tell, b"x")
        os.read(awaited, 1)  # until the parent has looked
        os._exit(0)
    os.read(told, 1)
    assert spool._folder is not None
    spool._folder.leave_to_parent()  # what the end of the parent does to its lock
    assert [folder.files() for folder in spool.directory.abandoned()] == [[spool._folder.file_of("events")]]
    for descriptor in (end, awaited, told, tell):
        os.close(descriptor)
    assert os.waitpid(child, 0)[1] == 0
