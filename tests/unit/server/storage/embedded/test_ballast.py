from __future__ import annotations

from pathlib import Path

import pytest

from headrace_server.storage.embedded.ballast import Ballast

SIZE = 64 * 1024
EXABYTE = 10**18


def test_it_takes_real_room_on_the_disk(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast", SIZE)
    assert ballast.put_back()
    assert ballast.held
    assert (tmp_path / "ballast").stat().st_blocks * 512 >= SIZE


def test_it_is_not_put_back_twice(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast", SIZE)
    assert ballast.put_back()
    assert not ballast.put_back()


def test_it_stays_while_the_disk_has_room(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast", SIZE, full_below_bytes=1)
    ballast.put_back()
    assert not ballast.give_up_if_full()
    assert ballast.held


def test_a_full_disk_gets_it_and_it_comes_back_with_the_room(tmp_path: Path) -> None:
    Ballast(tmp_path / "ballast", SIZE).put_back()
    full = Ballast(tmp_path / "ballast", SIZE, full_below_bytes=EXABYTE)
    assert full.give_up_if_full()
    assert not full.held
    assert not full.give_up_if_full()
    assert not full.put_back(), "there is no room yet"
    assert Ballast(tmp_path / "ballast", SIZE).put_back()


def test_it_does_not_take_the_last_room(tmp_path: Path) -> None:
    ballast = Ballast(tmp_path / "ballast", EXABYTE)
    assert not ballast.put_back()
    assert list(tmp_path.iterdir()) == []


def test_one_that_cannot_be_allocated_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ballast = Ballast(tmp_path / "ballast", EXABYTE)
    monkeypatch.setattr(ballast, "_free_bytes", lambda: 10 * EXABYTE)
    assert not ballast.put_back()
    assert list(tmp_path.iterdir()) == []


def test_none_is_wanted(tmp_path: Path) -> None:
    assert not Ballast(tmp_path / "ballast", 0).put_back()
