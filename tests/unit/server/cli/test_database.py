import os

import pytest

from headrace_server.cli.database import without_password


def test_the_url_of_an_external_database_is_the_one_that_was_set(headrace, monkeypatch):
    monkeypatch.delenv("HEADRACE_DATA_DIR")
    monkeypatch.setenv("HEADRACE_DATABASE_URL", "postgresql://u:p@h/d")
    assert headrace("db", "url").output == "postgresql://u:p@h/d\n"


@pytest.mark.parametrize("verb", ["url", "psql"])
def test_without_any_database_it_says_how_to_get_one(headrace, verb):
    ended = headrace("db", verb)
    assert ended.exit_code == 1
    assert "start one with headrace serve" in ended.stderr


def test_psql_is_given_the_url_without_its_password_and_the_rest_of_the_line(headrace, monkeypatch, tmp_path):
    program = tmp_path / "psql"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.delenv("HEADRACE_DATA_DIR")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HEADRACE_DATABASE_URL", "postgresql://u:p%40ss@h:5433/d?sslmode=require")
    became = []
    # The real one would replace the test run.
    monkeypatch.setattr(os, "execve", lambda *arguments: became.append(arguments))
    assert headrace("db", "psql", "-c", "SELECT 1").exit_code == 0
    ((path, arguments, environment),) = became
    assert path == str(program)
    assert arguments == ["psql", "postgresql://u@h:5433/d?sslmode=require", "-c", "SELECT 1"]
    assert environment["PGPASSWORD"] == "p@ss"


def test_a_missing_psql_is_named(headrace, monkeypatch, tmp_path):
    monkeypatch.delenv("HEADRACE_DATA_DIR")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HEADRACE_DATABASE_URL", "postgresql://u:p@h/d")
    ended = headrace("db", "psql")
    assert (ended.exit_code, "psql is not installed" in ended.stderr) == (1, True)


def test_migrating_a_database_that_is_away_says_where_it_looked_and_no_password(headrace, monkeypatch):
    monkeypatch.delenv("HEADRACE_DATA_DIR")
    monkeypatch.setenv("HEADRACE_DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:1/d")
    ended = headrace("db", "migrate")
    assert ended.exit_code == 1
    assert "postgresql://127.0.0.1:1/d" in ended.stderr
    assert "hunter2" not in ended.output


@pytest.mark.parametrize(
    ("target", "shown", "password"),
    [
        ("postgresql://u:p@h:5432/d", "postgresql://u@h:5432/d", "p"),
        ("postgresql://u:a%2Fb@/d?host=/run", "postgresql://u@/d?host=/run", "a/b"),
        ("postgresql://u@h/d", "postgresql://u@h/d", ""),
        ("postgresql://h1:1,h2:2/d", "postgresql://h1:1,h2:2/d", ""),
        ("postgresql://u:p@h1:1,h2:2/d", "postgresql://u@h1:1,h2:2/d", "p"),
    ],
)
def test_a_url_and_its_password_part(target, shown, password):
    assert without_password(target) == (shown, password)
