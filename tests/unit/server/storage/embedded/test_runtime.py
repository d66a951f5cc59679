from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from headrace_server.storage.embedded import runtime
from headrace_server.storage.embedded.errors import RuntimeUnavailableError, WrongMajorVersionError
from headrace_server.storage.embedded.installation import Installation
from headrace_server.storage.embedded.runtime import find, find_or_make


def installation(version: str) -> Installation:
    return Installation(Path(f"/pg/{version}/bin"), version, "2.19.3", lz4=True)


def at_hand(monkeypatch: pytest.MonkeyPatch, system: Iterable[str], private: str | None, folder: Path) -> None:
    monkeypatch.setattr(runtime, "installed", lambda: iter([installation(version) for version in system]))
    if private is not None:
        (folder / "postgresql" / "usr/lib/postgresql/17/bin").mkdir(parents=True)
        monkeypatch.setattr(runtime, "inspect", lambda programs: installation(private))


def ignore(name: str, facts: object) -> None: ...


def test_the_system_comes_before_the_private_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_hand(monkeypatch, ["16.4"], "17.11", tmp_path)
    assert find(tmp_path, None) == installation("16.4")


def test_existing_data_decides_on_the_major_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_hand(monkeypatch, ["18.1", "16.4"], "17.11", tmp_path)
    assert find(tmp_path, 17) == installation("17.11")
    assert find(tmp_path, 16) == installation("16.4")


async def test_data_of_another_major_version_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_hand(monkeypatch, ["16.4"], "17.11", tmp_path)
    with pytest.raises(WrongMajorVersionError, match=r"/data was made by PostgreSQL 15, but at hand is 16, 17"):
        await find_or_make(tmp_path, 15, Path("/data"), ignore)


async def test_where_none_can_be_made_the_error_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_hand(monkeypatch, [], None, tmp_path)
    monkeypatch.setattr(runtime, "archives", list)
    with pytest.raises(RuntimeUnavailableError, match=r"(?s)apt.*timescale/timescaledb.*HEADRACE_DATABASE_URL"):
        await find_or_make(tmp_path / "runtime", None, Path("/data"), ignore)


async def test_too_little_room_is_named_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_hand(monkeypatch, [], None, tmp_path)
    monkeypatch.setattr(runtime, "NEEDED_BYTES", 10**18)
    with pytest.raises(RuntimeUnavailableError, match="MB of disk"):
        await find_or_make(tmp_path / "runtime", None, Path("/data"), ignore)


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_hand(monkeypatch, [], None, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(RuntimeUnavailableError, match="file"):
        await find_or_make(tmp_path / "file" / "runtime", None, Path("/data"), ignore)


async def test_every_archive_is_tried_and_every_refusal_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_hand(monkeypatch, [], None, tmp_path)
    sources = [runtime.Archive(f"file:/no/such/{name}", "trixie", "main", Path("/no/keyring")) for name in ("a", "b")]
    monkeypatch.setattr(runtime, "archives", lambda: sources)
    with pytest.raises(RuntimeUnavailableError, match=r"(?s)file:/no/such/a.*file:/no/such/b"):
        await find_or_make(tmp_path / "runtime", None, Path("/data"), ignore)
    assert {path.name for path in (tmp_path / "runtime").iterdir()} == {"making.lock"}


async def test_the_leftovers_of_a_killed_attempt_are_not_a_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_hand(monkeypatch, [], None, tmp_path)
    (tmp_path / "postgresql.making-1" / "root" / "usr/lib/postgresql/17/bin").mkdir(parents=True)
    made: list[list[str]] = []

    async def make(archive: runtime.Archive, folder: Path) -> None:
        made.append(os.listdir(folder))  # noqa: PTH208
        (folder / "root" / "usr/lib/postgresql/17/bin").mkdir(parents=True)

    async def leave_as_is(root: Path, final: Path) -> None: ...

    monkeypatch.setattr(runtime, "archives", lambda: [runtime.Archive("u", "s", "main", Path("/k"))])
    monkeypatch.setattr(runtime, "unpack_from", make)
    monkeypatch.setattr(runtime, "relocate", leave_as_is)
    monkeypatch.setattr(runtime, "inspect", lambda programs: installation("17.11"))
    # Two at once: the second waits and finds it made.
    found = await asyncio.gather(*(find_or_make(tmp_path, None, Path("/data"), ignore) for _ in range(2)))
    assert found == [installation("17.11")] * 2
    assert made == [[]]
    assert sorted(os.listdir(tmp_path)) == ["making.lock", "postgresql"]  # noqa: PTH208
