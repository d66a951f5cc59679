"""A spool cut anywhere, or with any bit flipped: nobody fails, no wrong row comes out, and what is missing is told.

A few places here; `make spool-damage` tries more. A failing run prints the seed that replays it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from headrace.spool.store import SpoolDamagedError, SpooledBatch, SpoolStore

POSITIONS = int(os.environ.get("HEADRACE_TEST_SPOOL_POSITIONS", "60"))
SEED = os.environ.get("HEADRACE_TEST_SPOOL_SEED") or str(Random().randrange(10**9))
LAST = 40
KEPT = range(3, LAST + 1)  # the first two are acknowledged


def batch(seq: int) -> SpooledBatch:
    return SpooledBatch(seq, rows=seq, body=Random(seq).randbytes(50 if seq % 3 else 9_000))


def opened(folder: Path) -> SpoolStore:
    return SpoolStore(folder / "events.db", producer_id="producer", project="", max_bytes=10**9)


def left_by_a_kill(folder: Path, copy: Path) -> None:
    """Fill a store, and copy it as a process that is killed leaves it: half of it in the file, half in the log."""
    folder.mkdir()
    store = opened(folder)
    for seq in range(1, LAST + 1):
        store.append(batch(seq))
        if seq == LAST // 2:
            store.forget_through(KEPT.start - 1)
            store._remove()
            store._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copytree(folder, copy)
    store.close()


def cut(file: Path, position: int, _: Random) -> None:
    os.truncate(file, position)


def flipped(file: Path, position: int, random: Random) -> None:
    data = bytearray(file.read_bytes())
    data[position] ^= 1 << random.randrange(8)
    file.write_bytes(data)


def places(folder: Path, random: Random) -> Iterator[tuple[str, int]]:
    """Places in each file that a process leaves on disk; half of them near its beginning, where its headers are."""
    files = sorted(file for file in folder.iterdir() if not file.name.endswith("-shm"))
    for number in range(POSITIONS):
        file = files[number % len(files)]
        size = file.stat().st_size
        yield file.name, random.randrange(size if number % 2 else min(size, 256))


def found(folder: Path) -> tuple[dict[int, SpooledBatch | None], bool]:
    """What the next process finds: each batch that is expected, None for a damaged one; and whether damage is told."""
    try:
        store = opened(folder)
    except SpoolDamagedError:
        return {}, True
    assert store.next_seq <= LAST + 1
    batches = {seq: store.read(seq) for seq in range(store.first_seq, store.next_seq)}
    store.forget_through(store.next_seq - 1)
    is_damaged = bool(store.damaged)
    store.close()
    return batches, is_damaged


@pytest.mark.parametrize("damage", [cut, flipped])
def test_damage_anywhere_brings_no_wrong_row_and_is_told(
    tmp_path: Path, damage: Callable[[Path, int, Random], None]
) -> None:
    random = Random(SEED)
    left_by_a_kill(tmp_path / "store", tmp_path / "left")
    told = 0
    for name, position in places(tmp_path / "left", random):
        place = tmp_path / "damaged" / "folder"
        shutil.copytree(tmp_path / "left", place)
        damage(place / name, position, random)
        where = f"{damage.__name__} {name} at {position}, HEADRACE_TEST_SPOOL_SEED={SEED}"
        try:
            batches, is_told = found(place)
        except Exception as error:
            raise AssertionError(where) from error
        good = {seq for seq, kept in batches.items() if kept is not None}
        assert all(batches[seq] == batch(seq) for seq in good), where
        assert is_told or good >= set(KEPT), where
        told += is_told
        shutil.rmtree(tmp_path / "damaged")
    print(f"{damage.__name__}: places={POSITIONS} told={told} harmless={POSITIONS - told} crashes=0 wrong rows=0")
