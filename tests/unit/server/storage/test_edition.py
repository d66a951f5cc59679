"""Servers that no test machine has (too old, a standby, without TimescaleDB), played by a scripted connection."""

from typing import Any

import pytest

from headrace_server.storage.edition import UnsuitableDatabaseError, probe

GOOD = {
    "postgres": 17,
    "version": "17.11",
    "fsync": "on",
    "encoding": "UTF8",
    "database": "events",
    "role": "headrace",
    "standby": False,
    "may_create": True,
}


class ScriptedConnection:
    """Answers each fetchrow with the next of its answers; nothing may be executed."""

    def __init__(self, *answers: dict[str, Any] | None) -> None:
        self._answers = list(answers)

    async def fetchrow(self, query: str) -> dict[str, Any] | None:
        return self._answers.pop(0)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"postgres": 14, "version": "14.9"}, "PostgreSQL 14.9; headrace needs 15"),
        ({"standby": True}, "URL of the primary"),
        ({"encoding": "SQL_ASCII"}, "ENCODING 'UTF8'"),
        ({"fsync": "off"}, "fsync=off"),
        ({"may_create": False}, 'GRANT CREATE ON DATABASE "events" TO "headrace"'),
    ],
)
async def test_an_unsuitable_server_is_refused_with_what_to_do(facts: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsuitableDatabaseError) as caught:
        await probe(ScriptedConnection(GOOD | facts))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("extension", "words"),
    [
        (None, "install the timescaledb package"),
        ({"default_version": "2.19.3", "preloaded": False}, "shared_preload_libraries"),
    ],
)
async def test_a_server_without_timescaledb_is_told_how_to_get_it(extension: dict[str, Any] | None, words: str) -> None:
    with pytest.raises(UnsuitableDatabaseError) as caught:
        await probe(ScriptedConnection(GOOD, None, extension))
    assert words in str(caught.value)


async def test_a_timescaledb_that_is_too_old_is_refused() -> None:
    with pytest.raises(UnsuitableDatabaseError, match=r"2\.18\.2; headrace needs 2\.19 or later"):
        await probe(ScriptedConnection(GOOD, {"version": "2.18.2", "schema": "public"}))
