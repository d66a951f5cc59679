"""A store gives back what was appended, in order and unaltered, or says that it cannot."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from headrace.settings import Durability
from headrace.spool import store as store_module
from headrace.spool.store import DAMAGED, SpoolDamagedError, SpooledBatch, SpoolFullError, SpoolStore

PRODUCER = "0192f0c1-2d4e-7a3b-8c5d-6e7f8091a2b3"


def make(folder: Path, max_bytes: int = 10_000_000, **more: Durability) -> SpoolStore:
    return SpoolStore(folder / "events.db", producer_id=PRODUCER, project="main", max_bytes=max_bytes, **more)


def batch(seq: int, size: int = 1_000) -> SpooledBatch:
    return SpooledBatch(seq, seq % 7 + 1, random.Random(seq).randbytes(size))


def filled(folder: Path, count: int = 20, size: int = 1_000) -> SpoolStore:
    store = make(folder)
    for seq in range(1, count + 1):
        store.append(batch(seq, size))
    return store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "process").mkdir()
    return tmp_path / "process"


@pytest.mark.parametrize("durability", list(Durability))
def test_what_is_appended_is_read_back_by_another_process_as_it_was(folder: Path, durability: Durability) -> None:
    store = make(folder, durability=durability)
    for seq in range(1, 4):
        store.append(batch(seq))
    again = SpoolStore(folder / "events.db", producer_id="another", project="other", max_bytes=1)  # no close: killed
    assert (again.producer_id, again.project, again.first_seq, again.next_seq) == (PRODUCER, "main", 1, 4)
    assert [again.read(seq) for seq in range(1, 4)] == [batch(seq) for seq in range(1, 4)]
    assert not again.damaged


@pytest.mark.parametrize(("durability", "level"), [(Durability.PAGE_CACHE, 1), (Durability.FSYNC, 2)])
def test_a_commit_is_flushed_as_far_as_the_settings_say(folder: Path, durability: Durability, level: int) -> None:
    store = make(folder, durability=durability)
    for seq in (1, 2):
        assert store._database.execute("PRAGMA synchronous").fetchone() == (level,)
        store.append(batch(seq))
        store.forget_through(seq)  # removing need not be flushed: a crash only means that the service is asked again


def test_what_is_forgotten_is_gone_and_the_seqs_go_on(folder: Path) -> None:
    store = filled(folder, 300)
    store.forget_through(290)
    store.close()
    again = make(folder)
    assert (again.first_seq, again.next_seq) == (291, 301)
    assert again.read(291) == batch(291)
    again.append(batch(301))
    assert again.next_seq == 302


def test_an_empty_store_leaves_no_file(folder: Path) -> None:
    store = filled(folder, 3)
    store.forget_through(3)
    store.close()
    assert list(folder.iterdir()) == []


def test_it_is_bounded_by_bytes_but_for_a_single_batch(folder: Path) -> None:
    store = make(folder, max_bytes=2_500)
    assert store.has_room(5_000)
    for seq in (1, 2):
        assert store.has_room(1_000)
        store.append(batch(seq))
    assert not store.has_room(1_000)
    store.forget_through(1)
    assert store.has_room(1_500)
    assert not store.has_room(1_501)


def test_it_is_bounded_by_the_number_of_batches_as_well(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MOST_BATCHES", 3)
    store = filled(folder, 2)
    assert store.has_room(1)
    store.append(batch(3))
    assert not store.has_room(1)
    store.forget_through(1)
    assert store.has_room(1)


def test_what_another_process_has_read_and_forgotten_makes_room(folder: Path) -> None:
    filled(folder, 3)
    again = make(folder, max_bytes=3_000)
    assert not again.has_room(1)
    for seq in (1, 2):
        again.read(seq)
        again.forget_through(seq)
    assert again.has_room(2_000)
    assert not again.has_room(2_001)


def test_when_all_is_acknowledged_it_is_removed_at_once_and_else_many_at_a_time(folder: Path) -> None:
    store = filled(folder, 3)
    store.forget_through(2)
    assert make(folder).first_seq == 1
    store.forget_through(3)
    again = make(folder)
    assert (again.first_seq, again.next_seq) == (4, 4)


@pytest.mark.parametrize("damage", ["UPDATE producer SET project = 'other'", "DELETE FROM producer"])
def test_a_file_that_does_not_say_whose_it_is_is_refused(folder: Path, damage: str) -> None:
    filled(folder, 3)._database.execute(damage)
    with pytest.raises(SpoolDamagedError, match="whose it is"):
        make(folder)


def test_a_full_disk_is_told_and_changes_nothing(folder: Path) -> None:
    store = filled(folder, 2)
    pages = store._database.execute("PRAGMA page_count").fetchone()[0]
    store._database.execute(f"PRAGMA max_page_count={pages + 1}")  # what a full disk says, SQLite says by itself here
    with pytest.raises(SpoolFullError, match="takes no more"):
        store.append(batch(3, 100_000))
    assert store.next_seq == 3
    store._database.execute("PRAGMA max_page_count=1000000")
    store.append(batch(3, 100_000))
    assert make(folder).read(3) == batch(3, 100_000)


def test_a_batch_that_could_not_be_kept_is_missing_later_and_told_as_such(folder: Path) -> None:
    store = filled(folder, 2)
    store.append(batch(4))
    again = make(folder)
    assert [again.read(seq) for seq in range(1, again.next_seq)] == [batch(1), batch(2), None, batch(4)]
    assert again.damaged == {3}


def test_a_file_whose_maker_was_killed_at_once_is_begun_anew(folder: Path) -> None:
    sqlite3.connect(folder / "events.db").execute("PRAGMA journal_mode=WAL")
    store = make(folder)
    assert (store.producer_id, store.next_seq) == (PRODUCER, 1)


def test_a_file_that_cannot_be_opened_now_is_no_damage(folder: Path) -> None:
    filled(folder, 3).close()
    somebody = sqlite3.connect(folder / "events.db", isolation_level=None)
    somebody.execute("PRAGMA locking_mode=EXCLUSIVE")
    somebody.execute("BEGIN EXCLUSIVE")
    with pytest.raises(SpoolFullError, match="cannot be opened now"):
        make(folder)
    somebody.close()
    assert make(folder).read(3) == batch(3)


def test_the_project_that_the_service_names_stays_with_the_batches(folder: Path) -> None:
    path = folder / "events.db"
    store = SpoolStore(path, producer_id=PRODUCER, project="", max_bytes=1_000_000)
    store.append(batch(1))
    store.belongs_to("credit")
    store.append(batch(2))
    store.forget_through(1)
    store.belongs_to("fraud")
    again = SpoolStore(path, producer_id="another", project="", max_bytes=1_000_000)
    assert (again.project, again.producer_id, again.read(2)) == ("credit", PRODUCER, batch(2))


def test_a_file_that_is_none_of_ours_is_refused(folder: Path) -> None:
    (folder / "events.db").write_bytes(b"no database" * 1_000)
    with pytest.raises(SpoolDamagedError):
        make(folder)


def test_where_no_batch_can_be_read_any_more_their_seqs_are_known_and_their_bytes_counted(folder: Path) -> None:
    store = filled(folder, 20)
    (root,) = store._database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'batches'").fetchone()
    (page,) = store._database.execute("PRAGMA page_size").fetchone()
    store.close()
    path = folder / "events.db"
    with path.open("r+b") as file:
        file.seek((root - 1) * page)
        file.write(b"\xff" * page)
    again = make(folder, max_bytes=path.stat().st_size)
    assert (again.producer_id, again.first_seq, again.next_seq) == (PRODUCER, 1, 21)
    assert [again.read(seq) for seq in range(1, 21)] == [None] * 20
    assert not again.has_room(1)


def test_damage_is_kept_for_a_look_when_all_else_is_sent(folder: Path) -> None:
    store = filled(folder, 3)
    store._database.execute("UPDATE batches SET body = x'00' WHERE seq = 2")
    assert [store.read(seq) is None for seq in (1, 2, 3)] == [False, True, False]
    store.forget_through(3)
    store.close()
    assert list(folder.iterdir()) == []
    assert (folder.parent / DAMAGED / "process-events.db").exists()
