"""Processes fork and end; clients in them lose no row without saying so. Real processes, real forks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from support.fake_service_process import FakeServiceProcess, fake_service_process


@pytest.fixture
def service() -> Iterator[FakeServiceProcess]:
    with fake_service_process() as running:
        yield running


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own; its warnings come on stderr."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_forked_child_begins_empty_and_both_deliver_their_own_rows(service: FakeServiceProcess) -> None:
    done = run(
        """
import os, sys, headrace
client = headrace.connect(sys.argv[1])
model = client.model("m")
model.log({"who": "parent, before"})
client.flush(10)
model.log({"who": "parent, in the buffer"})
parent_id = model.log({"who": "parent, the last id"})
child = os.fork()
if child == 0:
    assert client.stats().logged == 0
    assert model.log({"who": "child"}) != parent_id
    model.log_label("a", who="child, label")
    client.close(20)
    os._exit(0)
model.log({"who": "parent, after"})
client.flush(20)
assert os.waitpid(child, 0)[1] == 0
model.log({"who": "parent, at last"})
client.close(20)
assert client.stats().stored == client.stats().logged == 5, client.stats()
""",
        service.address,
    )
    assert done.returncode == 0, done.stderr
    rows = [(row["producer_id"], row["cells"]["who"]) for row in service.rows()]
    parents = {producer for producer, who in rows if who.startswith("parent")}
    children = {producer for producer, who in rows if who.startswith("child")}
    assert sorted(who for _, who in rows) == [
        "child",
        "child, label",
        "parent, after",
        "parent, at last",
        "parent, before",
        "parent, in the buffer",
        "parent, the last id",
    ]
    assert len(parents) == 1
    assert len(children) == 2
    assert not parents & children


def test_a_client_made_before_a_prefork_server_forks_serves_every_worker(service: FakeServiceProcess) -> None:
    done = run(
        """
import os, sys, headrace
client = headrace.connect(sys.argv[1])      # at import, as with gunicorn --preload
model = client.model("m")
children = []
for worker in range(4):
    child = os.fork()
    if child == 0:
        for n in range(100):
            model.log({"worker": worker, "n": n})
        client.close(20)
        os._exit(0)
    children.append(child)
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
""",
        service.address,
    )
    assert done.returncode == 0, done.stderr
    rows = service.rows()
    assert len({row["cells"]["event_id"] for row in rows}) == 400 == len(rows)
    assert len({row["producer_id"] for row in rows}) == 4


def test_a_grandchild_and_a_child_that_never_logs(service: FakeServiceProcess) -> None:
    done = run(
        """
import os, sys, headrace
client = headrace.connect(sys.argv[1])
model = client.model("m")
model.log({"depth": 0})
client.flush(10)
child = os.fork()
if child == 0:
    grandchild = os.fork()
    if grandchild == 0:
        model.log({"depth": 2})
        client.close(20)
        os._exit(0)
    os._exit(os.waitpid(grandchild, 0)[1])
assert os.waitpid(child, 0)[1] == 0
client.close(20)
""",
        service.address,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(row["cells"]["depth"] for row in service.rows()) == [0, 2]


def test_a_fork_while_other_threads_log(service: FakeServiceProcess) -> None:
    done = run(
        """
import os, sys, threading, headrace
client = headrace.connect(sys.argv[1])
model = client.model("m")
model.log({"who": "parent"})
client.flush(10)
stop = threading.Event()
def log():
    while not stop.wait(0.0005):
        model.log({"who": "parent"})
threads = [threading.Thread(target=log) for _ in range(4)]
for thread in threads: thread.start()
children = []
for _ in range(5):
    child = os.fork()
    if child == 0:
        model.log({"who": "child"})
        client.close(20)
        os._exit(0)
    children.append(child)
ends = [os.waitpid(child, 0)[1] for child in children]
stop.set()
for thread in threads: thread.join()
assert ends == [0] * 5
client.close(20)
assert client.stats().stored == client.stats().logged
print(client.stats().logged)
""",
        service.address,
    )
    assert done.returncode == 0, done.stderr
    rows = service.rows()
    assert sum(row["cells"]["who"] == "child" for row in rows) == 5
    assert sum(row["cells"]["who"] == "parent" for row in rows) == int(done.stdout)
    assert len({row["cells"]["event_id"] for row in rows}) == len(rows)


def test_a_process_that_forgot_to_close_delivers_at_its_end(service: FakeServiceProcess) -> None:
    done = run(
        """
import sys, headrace
client = headrace.connect(sys.argv[1])
for n in range(1000):
    client.model("m").log({"n": n})
client.model("m").log_label("a", late=True)
""",
        service.address,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(service.rows()) == 1001


def test_a_process_that_ends_while_the_service_is_away_says_how_much_is_lost() -> None:
    done = run(
        """
import headrace
client = headrace.connect("localhost:1", settings=headrace.Settings(exit_timeout_s=0.2))
for n in range(7):
    client.model("m").log({"n": n})
"""
    )
    assert done.returncode == 0
    assert "the process ends with 7 rows unacknowledged" in done.stderr


def test_an_exception_that_ends_the_process_loses_no_row(service: FakeServiceProcess) -> None:
    done = run(
        """
import sys, headrace
client = headrace.connect(sys.argv[1])
client.model("m").log({"n": 1})
raise SystemExit(3)
""",
        service.address,
    )
    assert done.returncode == 3
    assert len(service.rows()) == 1


def test_a_client_that_was_never_used_has_no_thread_and_no_connection() -> None:
    done = run(
        """
import threading, headrace
client = headrace.connect("localhost:1")
client.model("m")
client.flush()
assert threading.active_count() == 1, threading.enumerate()
"""
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_client_that_is_forgotten_is_still_drained_at_exit(service: FakeServiceProcess) -> None:
    done = run(
        """
import gc, sys, headrace
headrace.connect(sys.argv[1]).model("m").log({"n": 1})
gc.collect()
""",
        service.address,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(service.rows()) == 1
