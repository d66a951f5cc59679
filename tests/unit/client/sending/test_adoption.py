"""What processes have left in a spool directory is sent by one that lives, again and again until it is gone."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

import headrace
from headrace.deadline import Deadline
from headrace.sending import adoption
from headrace.sending.adoption import Adoption
from headrace.spool import store
from headrace.spool.directory import SpoolDirectory, SpoolFolder
from headrace.testing import FakeService, Status
from support.eventually import eventually

Connect = Callable[..., headrace.Client]


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adoption, "EVERY_S", 0.01)
    monkeypatch.setattr(adoption, "_TICK_S", 0.01)


def leave(connect: Connect, spool: Path, event_id: str) -> Path:
    """Have a client leave an event in the spool; returns its file."""
    before = set(spool.glob("*/events.db"))
    client = connect(address="localhost:1", spool_dir=spool)
    client.model("m").log({"x": 1.0}, event_id=event_id)
    client.flush_to_spool()
    client.close(0.0)
    (file,) = set(spool.glob("*/events.db")) - before
    return file


def ids(service: FakeService) -> list[str]:
    return sorted(str(event["event_id"]) for event in service.events("m"))


def adopting(client: headrace.Client) -> Adoption:
    assert client._adoption is not None
    return client._adoption


def test_what_is_left_later_is_found_by_a_later_look(service: FakeService, connect: Connect, tmp_path: Path) -> None:
    connect(spool_dir=tmp_path)
    leave(connect, tmp_path, "a")
    eventually(lambda: ids(service) == ["a"])


def test_a_look_that_fails_is_told_and_the_next_one_finds_what_is_left(
    service: FakeService,
    connect: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    leave(connect, tmp_path, "a")
    abandoned, failures = SpoolDirectory.abandoned, [OSError("no disk"), OSError("no disk")]

    def look(directory: SpoolDirectory) -> Iterator[SpoolFolder]:
        if failures:
            raise failures.pop()
        return abandoned(directory)

    monkeypatch.setattr(SpoolDirectory, "abandoned", look)
    with caplog.at_level(logging.ERROR):
        connect(spool_dir=tmp_path)
        eventually(lambda: ids(service) == ["a"])
    assert caplog.text.count("adopting spools has failed") == 2


def test_a_spool_that_cannot_be_opened_now_is_taken_up_by_a_later_look(
    service: FakeService,
    connect: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(store, "_BUSY_S", 0.0)
    file = leave(connect, tmp_path, "a")
    somebody = sqlite3.connect(file, isolation_level=None)
    somebody.execute("PRAGMA locking_mode=EXCLUSIVE")
    somebody.execute("BEGIN EXCLUSIVE")
    client = connect(spool_dir=tmp_path)
    eventually(lambda: "cannot be opened now" in caplog.text)
    somebody.close()
    eventually(lambda: ids(service) == ["a"])
    assert client.stats().damaged == 0


def test_a_spool_whose_session_is_refused_is_left_for_a_process_with_another_key(
    service: FakeService, connect: Connect, tmp_path: Path
) -> None:
    file = leave(connect, tmp_path, "a")
    service.behaviour.refuse = Status(grpc.StatusCode.PERMISSION_DENIED, "PROJECT_DENIED")
    errors: list[headrace.HeadraceError] = []
    refused = connect(spool_dir=tmp_path, on_error=errors.append)
    eventually(lambda: file in adopting(refused)._refused)
    service.behaviour.refuse = None
    later = leave(connect, tmp_path, "b")
    eventually(lambda: not later.exists())
    assert (ids(service), file.exists(), len(errors)) == (["b"], True, 1)
    refused.close()
    connect(spool_dir=tmp_path)
    eventually(lambda: ids(service) == ["a", "b"])


def test_a_batch_that_another_process_has_left_damaged_is_told_though_nobody_knows_its_rows(
    service: FakeService, connect: Connect, tmp_path: Path
) -> None:
    file = leave(connect, tmp_path, "a")
    with sqlite3.connect(file) as database:
        database.execute("UPDATE batches SET body = x'00'")
    database.close()
    errors: list[headrace.HeadraceError] = []
    drops: list[tuple[str, int]] = []
    heir = connect(spool_dir=tmp_path, on_error=errors.append, on_drop=lambda *drop: drops.append(drop))
    heir.close()
    assert ([error.reason for error in errors], drops, heir.stats().damaged) == (["SPOOL_DAMAGED"], [], 1)
    assert ids(service) == []
    assert [path.name for path in tmp_path.iterdir()] == ["damaged"]


def test_nothing_is_begun_while_the_process_forks(service: FakeService, connect: Connect, tmp_path: Path) -> None:
    client = connect(spool_dir=tmp_path)
    client.before_fork(Deadline(5.0))
    leave(connect, tmp_path, "a")
    eventually(lambda: adopting(client)._session is not None)
    assert (service.opens, ids(service)) == ([], [])
    client.after_fork_in_parent()
    eventually(lambda: ids(service) == ["a"])


def test_a_fork_while_something_is_sent_leaves_it_to_the_parent(
    service: FakeService, connect: Connect, tmp_path: Path
) -> None:
    leave(connect, tmp_path, "a")
    script = """
import os, pathlib, sys, headrace
from headrace.spool.directory import SpoolDirectory
client = headrace.connect(sys.argv[1], settings=headrace.Settings(spool_dir=sys.argv[2]))
sys.stdin.readline()
child = os.fork()
if not child:
    found = len(list(SpoolDirectory(pathlib.Path(sys.argv[2])).abandoned()))
    client.close(0.0)
    os._exit(found)
assert os.waitpid(child, 0)[1] == 0
print("forked", flush=True)
client.close()
"""
    service.hold_acks()
    with subprocess.Popen(
        [sys.executable, "-c", script, service.address, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        eventually(lambda: len(service.received) == 1)
        assert process.stdin is not None
        assert process.stdout is not None
        print("fork", file=process.stdin, flush=True)
        assert process.stdout.readline() == "forked\n"
        service.release_acks()
    assert process.returncode == 0
    assert ids(service) == ["a"]
    assert {seq for _, seq in service.received} == {1}
    assert list(tmp_path.iterdir()) == []
