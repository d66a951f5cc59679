"""`headrace db` and `headrace doctor` as processes, against a real database."""

import os
import subprocess
import sys
from functools import partial

import asyncpg
import pytest


def headrace(folder, *arguments, **settings):
    """Run `headrace …` with these settings and no others; returns the finished process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    environment |= {"COLUMNS": "200", "HEADRACE_LISTEN_GRPC_PORT": "0", "HEADRACE_LISTEN_HTTP_PORT": "0", **settings}
    command = [sys.executable, "-m", "headrace_server", *arguments]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def database_url(blank_database_url):
    """URL of a database that no service has seen yet."""
    return blank_database_url


@pytest.fixture
def with_url(database_url, tmp_path):
    """Run a verb against a fresh database that is named by its URL."""
    return partial(headrace, tmp_path, HEADRACE_DATABASE_URL=database_url)


@pytest.fixture
def embedded(timescale, tmp_path):
    """Run a verb against the embedded database that the test session runs on."""
    return partial(headrace, tmp_path, HEADRACE_DATA_DIR=str(timescale._folder / "data"))


async def test_migrating_brings_the_schema_up_once(with_url, database_url):
    first, second = with_url("db", "migrate"), with_url("db", "migrate")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert first.stdout.startswith("applied 1")
    assert second.stdout == "nothing to do\n"
    connection = await asyncpg.connect(database_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM headrace.migrations") >= 1
    finally:
        await connection.close()


def test_the_doctor_finds_the_database_fit(with_url):
    told = with_url("doctor")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "TimescaleDB 2." in told.stdout


async def test_the_doctor_changes_nothing_in_a_database_without_the_extension(with_url, database_url):
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("DROP EXTENSION timescaledb CASCADE")
        told = with_url("doctor")
        assert told.returncode == 0, told.stdout + told.stderr
        assert "TimescaleDB is not in the database yet" in told.stdout
        assert await connection.fetchval("SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'") == 0
    finally:
        await connection.close()


def test_a_server_that_refuses_the_role_is_told_plainly(with_url, database_url):
    stranger = database_url.replace("headrace@", "stranger@", 1)
    assert stranger != database_url
    for verb in (("db", "migrate"), ("doctor",)):
        told = with_url(*verb, HEADRACE_DATABASE_URL=stranger)
        assert told.returncode == 1
        assert "stranger" in told.stdout + told.stderr
        assert "Traceback" not in told.stderr


async def test_the_url_of_the_embedded_database_opens_it(embedded):
    told = embedded("db", "url")
    assert told.returncode == 0, told.stderr
    connection = await asyncpg.connect(told.stdout.strip())
    try:
        assert await connection.fetchval("SELECT current_user") == "headrace"
    finally:
        await connection.close()


def test_psql_opens_the_embedded_database(embedded):
    told = embedded("db", "psql", "-Atc", "SELECT current_database()")
    assert (told.returncode, told.stdout) == (0, "headrace\n"), told.stderr


def test_the_doctor_sees_the_embedded_database_run(embedded):
    told = embedded("doctor")
    assert told.returncode == 0, told.stdout + told.stderr
    assert "running, owned by process" in told.stdout
