"""A folder belongs to one living process; whoever comes after it may take it over, and one at a time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from headrace.spool.directory import SpoolDirectory
from headrace.spool.store import DAMAGED

HOLD = """
import sys, pathlib
from headrace.spool.directory import SpoolDirectory
folder = SpoolDirectory(pathlib.Path(sys.argv[1])).new_folder()
(folder.path / "events.db").write_text("rows")
print(folder.path.name, flush=True)
sys.stdin.read()
"""


def test_the_folder_of_a_living_process_is_nobodys_and_of_a_killed_one_the_first_ones(tmp_path: Path) -> None:
    directory = SpoolDirectory(tmp_path / "spool")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(directory.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        assert list(directory.abandoned()) == []
        process.kill()
        process.wait()
    (adopted,) = directory.abandoned()
    assert (adopted.path.name, [file.name for file in adopted.files()]) == (name, ["events.db"])
    assert list(directory.abandoned()) == []
    adopted.release()
    assert adopted.path.exists()  # it holds a file still: the next one may have it
    (again,) = directory.abandoned()
    (again.path / "events.db").unlink()
    again.release()
    assert list(directory.path.iterdir()) == []


def test_a_forked_child_leaves_the_lock_to_its_parent(tmp_path: Path) -> None:
    directory = SpoolDirectory(tmp_path)
    folder = directory.new_folder()
    child = os.fork()
    if child == 0:
        folder.leave_to_parent()
        os._exit(len(list(directory.abandoned())))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert list(directory.abandoned()) == []


def test_only_this_user_may_look_into_it(tmp_path: Path) -> None:
    directory = SpoolDirectory(tmp_path / "deep" / "spool")
    assert directory.path.stat().st_mode & 0o777 == 0o700
    assert directory.new_folder().path.stat().st_mode & 0o777 == 0o700


def test_only_the_folders_of_processes_are_taken_over(tmp_path: Path) -> None:
    directory = SpoolDirectory(tmp_path)
    for name in (".in-the-making", DAMAGED, "process"):
        (tmp_path / name).mkdir()
    (tmp_path / "notes.txt").touch()
    assert [folder.path.name for folder in directory.abandoned()] == ["process"]


def test_a_folder_that_another_process_has_just_finished_with_is_passed_over(tmp_path: Path) -> None:
    directory = SpoolDirectory(tmp_path)
    for name in "abc":
        (tmp_path / name).mkdir()
    folders = directory.abandoned()
    assert next(folders).path.name == "a"
    shutil.rmtree(tmp_path / "b")
    assert [folder.path.name for folder in folders] == ["c"]


def test_looking_for_folders_keeps_nothing_of_those_open_that_somebody_holds(tmp_path: Path) -> None:
    directory = SpoolDirectory(tmp_path)
    held = [directory.new_folder() for _ in range(3)]
    assert list(directory.abandoned()) == []
    next_free = os.open(os.devnull, os.O_RDONLY)
    os.close(next_free)
    assert list(directory.abandoned()) == []
    again = os.open(os.devnull, os.O_RDONLY)
    os.close(again)
    assert again == next_free
    for folder in held:
        folder.release()
