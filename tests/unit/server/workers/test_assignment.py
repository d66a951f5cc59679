import os
from pathlib import Path

import pytest

from headrace_server.config import Database, Settings
from headrace_server.config.variables import VARIABLES
from headrace_server.workers.assignment import Assignment, ParentGoneError, read_assignment


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_a_worker_reads_what_its_parent_told_secrets_and_all(pipe, tmp_path):
    settings = Settings(
        database=Database(url="postgresql://u:hunter2@db/ml"),
        tls={"certificate": tmp_path / "a.pem", "key": tmp_path / "b.pem"},
        drain={"grace_s": 3},
    )
    told = Assignment(1, 4, Path("/tmp/folder"), settings)
    reading, writing = pipe
    os.write(writing, told.line())
    assert read_assignment(reading) == told


def test_every_secret_is_told():
    assert {variable.key for variable in VARIABLES if variable.secret} == {"database.url"}, "tell the new one, too"


def test_a_parent_that_is_gone_before_it_said_anything_is_an_error():
    reading, writing = os.pipe()
    os.write(writing, b'{"number":')
    os.close(writing)
    with pytest.raises(ParentGoneError):
        read_assignment(reading)
    os.close(reading)
