from __future__ import annotations

from pathlib import Path

import pytest

from headrace_server.storage.embedded import EmbeddedSettings, diagnose, diagnosis, locate
from headrace_server.storage.embedded.installation import Installation


def settings_in(folder: Path) -> EmbeddedSettings:
    return EmbeddedSettings(data_dir=folder / "data", runtime_dir=folder / "runtime")


def with_runtimes(monkeypatch: pytest.MonkeyPatch, *versions: str) -> None:
    found = [Installation(Path(f"/pg/{version}/bin"), version, "2.19.3", lz4=True) for version in versions]
    monkeypatch.setattr(diagnosis, "candidates", lambda folder: iter(found))


def told(settings: EmbeddedSettings, level: str) -> str:
    return "\n".join(f"{one.text} — {one.advice}" for one in diagnose(settings) if one.level == level)


def test_a_new_machine_is_told_what_the_first_start_will_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_runtimes(monkeypatch)
    monkeypatch.setattr(diagnosis, "archives", lambda: ["http://mirror.test/debian/ trixie"])
    assert told(settings_in(tmp_path), "fail") == ""
    assert "makes a private one from http://mirror.test/debian/ trixie" in told(settings_in(tmp_path), "ok")
    assert f"the first start makes it in {tmp_path / 'data'}" in told(settings_in(tmp_path), "ok")
    assert list(tmp_path.iterdir()) == [], "looking makes nothing"


def test_a_machine_without_apt_is_told_what_to_install_or_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_runtimes(monkeypatch)
    monkeypatch.setattr(diagnosis, "archives", list)
    assert "timescale/timescaledb" in told(settings_in(tmp_path), "fail")


def test_the_runtime_that_would_be_taken_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_runtimes(monkeypatch, "18.1", "17.11")
    assert "PostgreSQL 18.1 with TimescaleDB 2.19.3 in /pg/18.1/bin" in told(settings_in(tmp_path), "ok")


def test_data_of_another_major_version_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_runtimes(monkeypatch, "18.1")
    (tmp_path / "data" / "cluster").mkdir(parents=True)
    (tmp_path / "data" / "cluster" / "PG_VERSION").write_text("17\n")
    assert "made by PostgreSQL 17, at hand is 18.1" in told(settings_in(tmp_path), "fail")


def test_nothing_made_is_nothing_located(tmp_path: Path) -> None:
    assert locate(settings_in(tmp_path)) is None
