"""A store gives back what was appended, in order and unaltered, or says that it cannot."""

from __future__ import annotations

import os
import random
import sqlite3
from pathlib import Path

import pytest

from headrace.settings import Durability
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
    assert store.has_room(1_000)


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


def test_a_file_that_is_none_of_ours_is_refused(folder: Path) -> None:
    (folder / "events.db").write_bytes(b"no database" * 1_000)
    with pytest.raises(SpoolDamagedError):
        make(folder)


def test_damage_is_kept_for_a_look_when_all_else_is_sent(folder: Path) -> None:
    store = filled(folder, 3)
    store._database.execute("UPDATE batches SET body = x'00' WHERE seq = 2")
    assert [store.read(seq) is None for seq in (1, 2, 3)] == [False, True, False]
    store.forget_through(3)
    store.close()
    assert list(folder.iterdir()) == []
    assert (folder.parent / DAMAGED / "process-events.db").exists()


@pytest.mark.parametrize("seed", range(int(os.environ.get("HEADRACE_TEST_SPOOL_SEEDS", "4"))))
def test_a_cut_or_a_flipped_bit_anywhere_never_alters_a_batch_and_never_passes_unseen(folder: Path, seed: int) -> None:
    """Half of the batches are in the database file, half in its log, as a killed process leaves them."""
    dice = random.Random(seed)
    store = filled(folder, 10)
    store._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for seq in range(11, 21):
        store.append(batch(seq))
    files = {path: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}
    store._database.close()
    for place in range(20):
        for path in folder.iterdir():
            path.unlink()
        for path, data in files.items():
            path.write_bytes(data)
        victim = dice.choice([path for path in files if files[path]])
        at = dice.randrange(len(files[victim]))
        if dice.random() < 0.5:
            victim.write_bytes(files[victim][:at])
        else:
            flipped = bytearray(files[victim])
            flipped[at] ^= 1 << dice.randrange(8)
            victim.write_bytes(flipped)
        context = f"seed {seed}, place {place}: {victim.name} at {at}"
        try:
            again = make(folder)
        except SpoolDamagedError:
            continue  # told, and the file is set aside whole
        read = {seq: again.read(seq) for seq in range(again.first_seq, again.next_seq)}
        assert all(found in (None, batch(seq)) for seq, found in read.items()), context
        lost = [seq for seq in range(1, 21) if read.get(seq) is None]
        assert set(lost) == again.damaged, context
        again._database.close()


def test_a_damaged_seq_makes_nobody_wait_for_batches_that_never_were(folder: Path) -> None:
    filled(folder).close()
    with sqlite3.connect(folder / "events.db") as database:
        database.execute("UPDATE batches SET seq = 1 << 40 WHERE seq = 20")
    database.close()
    store = make(folder)
    assert store.next_seq == 21
    assert store.read(20) is None
    store.close()


def test_a_batch_beyond_the_mark_counts_when_it_is_whole(folder: Path) -> None:
    filled(folder).close()
    (folder / "events.sealed").unlink()  # as when a power cut took it
    store = make(folder)
    assert store.next_seq == 21
    store.close()


def test_a_batch_that_was_refused_and_is_there_all_the_same_is_replaced(folder: Path) -> None:
    store = filled(folder, 2)
    store._database.execute("INSERT INTO batches VALUES (3, 1, x'00', 0)")  # its flush failed
    store.append(batch(3))
    assert store.read(3) == batch(3)
    store.close()


def test_a_batch_is_kept_though_its_mark_cannot_be_written(folder: Path) -> None:
    store = filled(folder, 2)
    (folder / "events.sealed").unlink()
    (folder / "events.sealed").mkdir()
    store.append(batch(3))
    assert (store.next_seq, store.read(3)) == (4, batch(3))
    (folder / "events.sealed").rmdir()
    store.close()
