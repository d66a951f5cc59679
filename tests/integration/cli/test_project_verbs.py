"""`headrace projects` and `headrace db reader` beside a database, without a service."""

import os
import subprocess
import sys

import asyncpg


def headrace(folder, database_url, *arguments):
    """Run `headrace …` on the database; returns the finished process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    environment |= {"COLUMNS": "200", "HEADRACE_DATABASE_URL": database_url}
    command = [sys.executable, "-m", "headrace_server", *arguments]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


async def test_projects_are_made_given_quotas_and_readers(database_url, tmp_path):
    def run(*arguments):
        told = headrace(tmp_path, database_url, *arguments)
        assert told.returncode == 0, told.stderr
        return told.stdout

    assert "keys create --project team_b" in run("projects", "create", "Team B")
    assert run("projects", "quota", "team_b", "--rows-per-s", "5000", "--models", "3") == (
        "quotas of team_b: rows_per_s 5,000, models 3\n"
    )
    assert run("projects", "quota", "team_b", "--models", "none") == "quotas of team_b: models none\n"
    listed = [line.split() for line in run("projects", "list").splitlines() if "team_b" in line]
    assert listed == [["team_b", "0", "5,000", "–", "–", "–", "–"]]
    url = run("db", "reader", "team_b").strip()
    database = await asyncpg.connect(database_url)
    try:
        assert url.startswith("postgresql://headrace_read_team_b:")
        reader = await asyncpg.connect(url)
        assert await reader.fetchval("SELECT current_user") == "headrace_read_team_b"
        await reader.close()
        acts = await database.fetch("SELECT act, subject FROM headrace.audit_log ORDER BY id")
        assert [tuple(act.values()) for act in acts] == [
            ("create_project", "team_b"),
            ("set_quotas", "team_b"),
            ("set_quotas", "team_b"),
            ("renew_reader", "headrace_read_team_b"),
        ]
    finally:
        await database.execute("DROP OWNED BY headrace_read_team_b; DROP ROLE headrace_read_team_b")
        await database.close()


def test_what_cannot_be_done_with_projects_is_told_plainly(database_url, tmp_path):
    for arguments, words in (
        (("projects", "create", "main"), "there is a project 'main' already"),
        (("projects", "create", "pg_mine"), "pg_mine"),
        (("projects", "quota", "main"), "say which quota"),
        (("projects", "quota", "main", "--rows-per-s", "0"), "a whole number"),
        (("projects", "quota", "nowhere", "--models", "1"), "there is no project 'nowhere'"),
        (("db", "reader", "nowhere"), "there is no project 'nowhere'"),
    ):
        told = headrace(tmp_path, database_url, *arguments)
        assert told.returncode in {1, 2}
        assert words in told.stderr
        assert "Traceback" not in told.stderr
