"""`headrace keys` beside a database, without a service."""

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


async def test_keys_are_made_listed_rotated_and_revoked_and_each_act_is_in_the_audit_log(database_url, tmp_path):
    def keys(*arguments):
        return headrace(tmp_path, database_url, "keys", *arguments)

    made = keys("create", "--name", "scorer", "--scope", "ingest", "--scope", "label", "--expires", "90d")
    assert made.returncode == 0, made.stderr
    text = made.stdout.strip()
    key_id = text.split("_")[1]
    assert text.startswith("hr_")
    assert f"key {key_id} of project main for ingest, label, until " in made.stderr
    assert "HEADRACE_ACCESS_REQUIRE_KEYS" in made.stderr

    rotated = keys("rotate", key_id, "--overlap", "0m")
    assert rotated.returncode == 0, rotated.stderr
    renewed = rotated.stdout.strip().split("_")[1]
    assert keys("revoke", renewed).stdout == f"{renewed} (scorer) of project main is revoked\n"

    listed = keys("list").stdout
    assert [line.split()[0] for line in listed.splitlines() if "scorer" in line] == [renewed, key_id]
    assert "revoked" in listed
    assert "expired" in listed
    assert text.split("_")[2][:20] not in listed

    connection = await asyncpg.connect(database_url)
    try:
        acts = await connection.fetch("SELECT act, subject, actor, origin FROM headrace.audit_log ORDER BY id")
    finally:
        await connection.close()
    assert [(act["act"], act["subject"]) for act in acts] == [
        ("create_key", key_id),
        ("rotate_key", renewed),
        ("revoke_key", renewed),
    ]
    assert all(act["actor"].startswith("cli:") and act["origin"] for act in acts)


def test_what_cannot_be_done_is_told_plainly(database_url, tmp_path):
    for arguments, words in (
        (("create", "--name", "x", "--scope", "read", "--project", "nowhere"), "there is no project 'nowhere'"),
        (("create", "--name", "x", "--scope", "everything"), "everything"),
        (("create", "--name", "x", "--scope", "read", "--expires", "soon"), "like 90d"),
        (("revoke", "abc"), "there is no key 'abc'"),
        (("revoke", "hr_abc_def"), "the id alone"),
    ):
        told = headrace(tmp_path, database_url, "keys", *arguments)
        assert told.returncode in {1, 2}
        assert words in told.stderr
        assert "Traceback" not in told.stderr
