from __future__ import annotations

import os
from pathlib import Path

import pytest

from headrace_server.storage.embedded.layout import DataDirectory
from headrace_server.storage.embedded.postmaster import Pidfile, Postmaster, read_pidfile


def write_pidfile(cluster: Path, pid: int, status: str) -> None:
    cluster.mkdir(exist_ok=True)
    lines = [pid, cluster, 1700000000, 15999, cluster.parent / "socket", "127.0.0.1", "  1234 56", f"{status}   "]
    (cluster / "postmaster.pid").write_text("\n".join(map(str, lines)) + "\n")


@pytest.mark.parametrize(("status", "ready"), [("ready", True), ("starting", False), ("stopping", False)])
def test_the_pid_file_tells_port_and_readiness(tmp_path: Path, status: str, ready: bool) -> None:
    write_pidfile(tmp_path, 4711, status)
    assert read_pidfile(tmp_path) == Pidfile(4711, 15999, ready)


@pytest.mark.parametrize("content", [None, "", "x\n", "\n"])
def test_a_missing_or_damaged_pid_file_says_nothing(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "postmaster.pid").write_text(content)
    assert read_pidfile(tmp_path) is None


def test_a_pid_file_that_is_being_written_names_the_process_only(tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").write_text(f"4711\n{tmp_path}\n")
    assert read_pidfile(tmp_path) == Pidfile(4711, None, ready=False)


def test_a_process_id_that_went_to_somebody_else_is_a_dead_database(tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    write_pidfile(directory.cluster, os.getpid(), "ready")
    assert Postmaster(directory).pid() is None
    assert Postmaster(directory).pidfile() is None


def test_a_process_at_home_in_the_cluster_is_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = DataDirectory(tmp_path)
    write_pidfile(directory.cluster, os.getpid(), "ready")
    monkeypatch.chdir(directory.cluster)
    assert Postmaster(directory).pid() == os.getpid()


async def test_stopping_what_does_not_run_is_nothing(tmp_path: Path) -> None:
    await Postmaster(DataDirectory(tmp_path)).stop(1.0)
