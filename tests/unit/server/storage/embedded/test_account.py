from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from headrace_server.storage.embedded import account as room
from headrace_server.storage.embedded.account import Account, database_account, require_reach
from headrace_server.storage.embedded.errors import DataDirectoryError, EmbeddedDatabaseError

NOBODY = Account("nobody", 65534, 65534)


def test_an_ordinary_user_runs_it_as_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: pwd.getpwnam("nobody").pw_uid)
    assert database_account(tmp_path / "cluster") is None


def test_a_user_without_a_name_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 987654)
    with pytest.raises(EmbeddedDatabaseError, match="987654"):
        database_account(tmp_path / "cluster")


def test_root_hands_it_to_the_first_account_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(room, "CANDIDATES", ("no-such-account", "nobody"))
    found = database_account(tmp_path / "cluster")
    assert found is not None
    assert found.name == "nobody"


def test_root_without_any_such_account_is_told_what_to_add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(room, "CANDIDATES", ("no-such-account",))
    with pytest.raises(EmbeddedDatabaseError, match="useradd --system headrace"):
        database_account(tmp_path / "cluster")


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a folder away takes root")
def test_data_that_is_there_decides_whose_it_is(tmp_path: Path) -> None:
    entry = pwd.getpwnam("daemon")
    os.chown(tmp_path, entry.pw_uid, entry.pw_gid)
    assert database_account(tmp_path) == Account("daemon", entry.pw_uid, entry.pw_gid)


def test_the_closed_folder_on_the_way_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "data").mkdir(parents=True)
    for step in (closed, *closed.parents[:-1]):
        if step.stat().st_uid == os.geteuid() and not step.stat().st_mode & 0o001:
            closed = step
    closed.chmod(0o700)
    with pytest.raises(DataDirectoryError, match=f"nobody.* cannot enter {closed}"):
        require_reach(NOBODY, tmp_path / "closed" / "data")


def test_our_own_account_reaches_what_we_reach(tmp_path: Path) -> None:
    require_reach(None, tmp_path)
    require_reach(NOBODY, Path("/usr"))
