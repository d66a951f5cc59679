"""A client with a spool: rows outlive an outage and their process, and arrive once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import headrace
from headrace.testing import FakeService
from support.eventually import eventually

Connect = Callable[..., headrace.Client]

LOGGER = """
import sys, headrace
settings = headrace.Settings(spool_dir=sys.argv[2], backoff_initial_s=0.01, backoff_max_s=0.05)
client = headrace.connect(sys.argv[1], settings=settings)
model = client.model("flight_delay", version="v1")
for number in range(int(sys.argv[3])):
    model.log({"number": number}, event_id=f"{sys.argv[4]}{number}")
    model.log_label(f"{sys.argv[4]}{number}", late=True)
client.flush_to_spool(timeout=10)
print("spooled", flush=True)
sys.stdin.read()
client.close()
"""


def logger(address: str, spool: Path, rows: int, prefix: str) -> subprocess.Popen[str]:
    """A process that has logged rows, and says when they are in the spool."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOGGER, address, str(spool), str(rows), prefix],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "spooled\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    """End it as a power cut would."""
    process.kill()
    process.communicate()


def ids(service: FakeService, kind: str = "EVENTS") -> list[str]:
    rows = service.events("flight_delay") if kind == "EVENTS" else service.labels("flight_delay")
    return sorted(str(row["event_id"]) for row in rows)


def test_what_a_killed_process_has_spooled_is_sent_by_the_next_one_under_its_producer_id(
    service: FakeService, connect: Connect, tmp_path: Path
) -> None:
    for prefix in "ab":
        kill(logger("localhost:1", tmp_path, 50, prefix))
    outcomes: list[headrace.BatchOutcome] = []
    client = connect(spool_dir=tmp_path, on_result=outcomes.append)
    client.model("flight_delay").log({"number": 1.0}, event_id="c0")
    client.close()
    expected = sorted(["c0", *(f"{prefix}{number}" for prefix in "ab" for number in range(50))])
    assert ids(service) == expected
    assert ids(service, "LABELS") == expected[:-1]
    assert len(service.ledger.producers) == 2 * 2 + 1
    assert sorted(str(one) for each in outcomes if each.kind == "EVENTS" for one in each.event_ids) == expected
    assert list(tmp_path.iterdir()) == []


def test_close_leaves_what_has_no_ack_in_the_spool_and_raises_nothing(
    service: FakeService, connect: Connect, tmp_path: Path
) -> None:
    away = connect(address="localhost:1", spool_dir=tmp_path)
    for number in range(10):
        away.model("flight_delay").log({"number": number}, event_id=f"e{number}")
    away.close(timeout=0.5)
    connect(spool_dir=tmp_path).close()
    assert ids(service) == [f"e{number}" for number in range(10)]


def test_rows_beyond_memory_are_on_disk_alone_and_counted_as_spooled(
    service: FakeService, connect: Connect, tmp_path: Path
) -> None:
    service.hold_acks()
    client = connect(spool_dir=tmp_path, window_bytes=2_000, batch_rows=10)
    model = client.model("flight_delay")
    for number in range(500):
        model.log({"number": number}, event_id=f"e{number:03}")
    eventually(lambda: client.stats().buffered == 0 and client.stats().spooled > 100)
    stats = client.stats()
    assert (stats.unacked, stats.logged, stats.dropped) == (500, 500, {})
    service.release_acks()
    client.flush()
    assert ids(service) == [f"e{number:03}" for number in range(500)]
    assert (client.stats().spooled, client.stats().stored) == (0, 500)


def test_a_batch_that_was_committed_before_the_kill_is_not_doubled(
    service: FakeService, connect: Connect, tmp_path: Path
) -> None:
    service.hold_acks()
    process = logger(service.address, tmp_path, 20, "a")
    eventually(lambda: len(ids(service)) == 20)
    kill(process)
    service.release_acks()
    connect(spool_dir=tmp_path).close()
    assert ids(service) == sorted(f"a{number}" for number in range(20))
    assert list(tmp_path.iterdir()) == []


def test_a_batch_damaged_under_way_is_lost_alone_counted_and_told(
    service: FakeService, connect: Connect, tmp_path: Path
) -> None:
    service.hold_acks()
    errors: list[headrace.HeadraceError] = []
    drops: list[tuple[str, int]] = []
    client = connect(
        spool_dir=tmp_path,
        window_bytes=2_000,
        batch_rows=10,
        linger_ms=1_000,
        on_error=errors.append,
        on_drop=lambda *drop: drops.append(drop),
    )
    for number in range(500):
        client.model("flight_delay").log({"number": number}, event_id=f"e{number:03}")
    client.flush_to_spool()
    with client._events.session.window.changed:
        client._events.session.window.store._database.execute("UPDATE batches SET body = x'00' WHERE seq = 40")  # type: ignore[attr-defined]
    service.release_acks()
    client.flush(10)
    assert ids(service) == [f"e{number:03}" for number in range(500) if not 390 <= number < 400]
    stats = client.stats()
    assert (stats.stored, stats.dropped, stats.unacked, stats.spooled) == (490, {"SPOOL_DAMAGED": 10}, 0, 0)
    assert ([error.reason for error in errors], drops, stats.damaged) == (
        ["SPOOL_DAMAGED"],
        [("SPOOL_DAMAGED", 10)],
        1,
    )
    client.close()
    assert [path.name for path in tmp_path.iterdir()] == ["damaged"]


def test_a_spool_that_cannot_be_read_is_set_aside_and_told(
    service: FakeService, connect: Connect, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    process = logger("localhost:1", tmp_path, 5, "a")
    kill(process)
    for file in tmp_path.glob("*/events.*"):
        file.write_bytes(b"\xff" * file.stat().st_size)
    errors: list[headrace.HeadraceError] = []
    client = connect(spool_dir=tmp_path, on_error=errors.append)
    client.close()
    assert [error.reason for error in errors] == ["SPOOL_DAMAGED"]
    assert (client.stats().adopted, client.stats().damaged) == (5, 1)
    assert (ids(service), len(ids(service, "LABELS"))) == ([], 5)
    assert [path.name for path in tmp_path.iterdir()] == ["damaged"]
    (kept,) = tmp_path.glob("damaged/*-events.db")
    assert f"it is kept at {kept}" in caplog.text


def test_a_forked_child_has_a_spool_of_its_own(service: FakeService, connect: Connect, tmp_path: Path) -> None:
    script = (
        LOGGER.replace("print(", "import os; child = os.fork(); print(")
        .replace("sys.stdin.read()", "model.log({}, event_id=f'child{child > 0}'); sys.stdin.read() if child else None")
        .replace("client.close()", "client.close(timeout=0.3); os.waitpid(child, 0) if child else None")
    )
    subprocess.run(
        [sys.executable, "-c", script, "localhost:1", str(tmp_path), "5", "a"],
        input="",
        text=True,
        check=True,
        timeout=60,
        env=os.environ,
    )
    connect(spool_dir=tmp_path).close()
    assert ids(service) == ["a0", "a1", "a2", "a3", "a4", "childFalse", "childTrue"]


def test_forks_while_rows_are_written_to_the_spool_do_it_no_harm(
    service: FakeService, connect: Connect, tmp_path: Path
) -> None:
    script = """
import os, sys, threading, headrace
settings = headrace.Settings(spool_dir=sys.argv[2], linger_ms=1)
client = headrace.connect(sys.argv[1], settings=settings)
model = client.model("flight_delay")
stop = threading.Event()
def log():
    number = 0
    while not stop.wait(0.0002):
        model.log({"payload": "x" * 500}, event_id=f"a{number}")
        number += 1
thread = threading.Thread(target=log)
thread.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        grandchild = os.fork()
        sys.exit() if grandchild == 0 else os.waitpid(grandchild, 0)
        sys.exit()  # not os._exit: all that was inherited is finalized
    assert os.waitpid(child, 0)[1] == 0
stop.set()
thread.join()
client.flush_to_spool(10)
print(client.stats().logged, flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, "localhost:1", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,  # it kills itself
    )
    logged = int(done.stdout)
    heir = connect(spool_dir=tmp_path)
    heir.close()
    assert ids(service) == sorted(f"a{number}" for number in range(logged))
    assert heir.stats().damaged == 0


def test_rows_go_to_the_project_that_the_service_had_named_whoever_sends_them(
    service: FakeService, connect: Connect, tmp_path: Path
) -> None:
    service.hold_acks()
    process = logger(service.address, tmp_path, 5, "a")
    eventually(lambda: len(ids(service)) == 5)
    kill(process)
    service.release_acks()
    before, left_by = len(service.opens), service.opens[0].producer_id
    connect(spool_dir=tmp_path).close()
    assert {opened.project for opened in service.opens[before:] if opened.producer_id == left_by} == {"main"}


def test_an_expired_deadline_ends_the_wait_for_what_others_have_left(connect: Connect, tmp_path: Path) -> None:
    kill(logger("localhost:1", tmp_path, 5, "a"))
    client = connect(address="localhost:1", spool_dir=tmp_path)
    deadline = headrace.Deadline(None)
    closing = threading.Thread(target=client.close, args=(deadline,))
    closing.start()
    deadline.expire()
    closing.join(30)
    assert not closing.is_alive()
    connect(spool_dir=tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_a_fork_on_a_full_disk_leaves_the_child_a_client_without_a_spool(service: FakeService, tmp_path: Path) -> None:
    script = """
import errno, os, sys, headrace
from headrace.spool.directory import SpoolDirectory
client = headrace.connect(sys.argv[1], settings=headrace.Settings(spool_dir=sys.argv[2]))
def full(*_): raise OSError(errno.ENOSPC, "No space left on device")
SpoolDirectory.new_folder = full
child = os.fork()
if not child:
    client.model("flight_delay").log({"x": 1.0}, event_id="a")
    client.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
client.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, service.address, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "kept in memory alone" in done.stderr
    assert ids(service) == ["a"]


def test_whoever_has_no_spool_cannot_flush_to_it(connect: Connect, service: FakeService, tmp_path: Path) -> None:
    with pytest.raises(headrace.InvalidArgumentError, match="spool_dir"):
        connect().flush_to_spool()
    service.hold_acks()
    full = connect(spool_dir=tmp_path)
    full._events.session.window.store._database.execute("PRAGMA query_only = ON")  # type: ignore[attr-defined]
    full.model("flight_delay").log({})
    with pytest.raises(headrace.FlushTimeout, match="1 events rows are not on disk") as caught:
        full.flush_to_spool()
    assert (caught.value.rows, caught.value.batches) == (1, 0)


def test_a_client_that_spools_starts_though_its_disk_is_full(service: FakeService, tmp_path: Path) -> None:
    script = """
import errno, os, sys, headrace
from headrace.spool import directory
def full(*_): raise OSError(errno.ENOSPC, "No space left on device")
directory.SpoolDirectory.new_folder = full
client = headrace.connect(sys.argv[1], settings=headrace.Settings(spool_dir=sys.argv[2]))
client.model("flight_delay").log({"x": 1.0}, event_id="a")
client.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, service.address, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "kept in memory alone" in done.stderr
    assert ids(service) == ["a"]
