"""A spooled window holds more than memory does, in order, and goes on where another process has ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.deadline import Deadline
from headrace.errors import ClosedError, HeadraceError
from headrace.sending import spooled_window
from headrace.sending.notices import Notices
from headrace.sending.receipts import LostReceipt
from headrace.sending.spooled_window import SpooledWindow
from headrace.sending.window import SealedBatch
from headrace.spool.store import SpoolStore
from headrace.v1 import ingest_service_pb2, result_pb2

SOON = Deadline(0.01)


class Receipt:
    """Remembers what it was told."""

    is_awaited = False

    def __init__(self) -> None:
        self.failures: list[tuple[int, str, bool]] = []

    def settled(self, batch: SealedBatch, result: result_pb2.BatchResult | None) -> None: ...

    def failed(self, batch: SealedBatch, error: HeadraceError, *, set_aside: bool) -> None:
        self.failures.append((batch.rows, error.reason, set_aside))


class Awaited(Receipt):
    """One that a publish() waits for."""

    is_awaited = True


def opened(folder: Path, max_bytes: int = 250, spool_bytes: int = 1_000_000) -> tuple[SpooledWindow, list[str]]:
    store = SpoolStore(folder / "events.db", producer_id="producer", project="main", max_bytes=spool_bytes)
    troubles: list[str] = []

    def lost(error: HeadraceError, rows: int, awaited: Receipt | None) -> LostReceipt:
        troubles.append(f"lost {rows} rows")
        return LostReceipt(Notices(60.0), error, rows, awaited)

    def on_trouble(error: HeadraceError) -> None:
        troubles.append(error.reason)

    return SpooledWindow(max_bytes, store, lambda _: Receipt(), lost, on_trouble), troubles


def seal(window: SpooledWindow, letter: str = "m", receipt: Receipt | None = None) -> int | None:
    return window.seal(b"\x1a\x60" + letter.encode() * 96, 2, receipt or Receipt(), SOON)


def models(window: SpooledWindow) -> str:
    """The first letters of the models of the batches in memory, an underscore for an empty batch."""
    held = [window.at(seq) for seq in range(window.oldest_seq, window.next_seq)]
    requests = [ingest_service_pb2.IngestRequest.FromString(batch.frame) for batch in held if batch is not None]
    return "".join(request.batch.model[:1] or "_" for request in requests)


def settle(window: SpooledWindow, through_seq: int) -> None:
    with window.changed:
        window.settle(through_seq)


def test_what_memory_does_not_hold_waits_on_disk_and_comes_in_order(tmp_path: Path) -> None:
    window, _ = opened(tmp_path)
    assert [seal(window, letter) for letter in "abcdef"] == [1, 2, 3, 4, 5, 6]
    assert (models(window), window.rows, window.waiting_rows, window.next_seq) == ("ab", 4, 8, 7)
    settle(window, 1)
    assert (models(window), window.waiting_rows) == ("bc", 6)
    settle(window, 2)
    assert (models(window), window.waiting_rows) == ("cd", 4)
    seal(window, "g")
    assert models(window) == "cd"
    for seq in range(3, 8):
        settle(window, seq)
    assert (models(window), window.waiting_rows, window.oldest_seq, window.rows) == ("", 0, 8, 0)


def test_another_process_goes_on_with_what_has_no_ack(tmp_path: Path) -> None:
    window, _ = opened(tmp_path)
    for letter in "abcdef":
        seal(window, letter)
    settle(window, 2)
    again, troubles = opened(tmp_path)  # the first one is killed: nothing is closed
    assert (again.oldest_seq, again.next_seq, models(again)[0]) == (1, 7, "a")  # 1 and 2 are asked for once more
    settle(again, 2)
    settle(again, 4)
    assert (models(again), troubles) == ("ef", [])
    assert seal(again, "g") == 7


def test_a_full_spool_makes_the_sealer_wait(tmp_path: Path) -> None:
    window, _ = opened(tmp_path, spool_bytes=250)
    assert [seal(window), seal(window), seal(window)] == [1, 2, None]
    settle(window, 1)
    assert seal(window) == 3


def test_who_waits_for_room_in_a_full_spool_is_let_go_when_the_client_closes(tmp_path: Path) -> None:
    window, _ = opened(tmp_path, spool_bytes=250)
    assert [seal(window), seal(window), seal(window)] == [1, 2, None]
    window.closing = True
    with pytest.raises(ClosedError):
        seal(window)


def test_with_a_full_disk_memory_alone_is_used_and_said_so(tmp_path: Path) -> None:
    window, troubles = opened(tmp_path)
    seal(window, "a")
    window.store._database.execute("PRAGMA query_only = ON")
    assert [seal(window, letter) for letter in "bc"] == [2, None]
    assert (models(window), window.unspooled_rows, set(troubles)) == ("ab", 2, {"SPOOL_FULL"})
    window.store._database.execute("PRAGMA query_only = OFF")
    settle(window, 2)
    assert (seal(window, "c"), window.unspooled_rows) == (3, 0)


def test_a_damaged_batch_is_an_empty_one_in_its_place_and_told_to_who_waits_for_it(tmp_path: Path) -> None:
    window, troubles = opened(tmp_path)
    receipt = Awaited()
    for letter in "abcd":
        seal(window, letter, receipt)
    window.store._database.execute("UPDATE batches SET body = x'00' WHERE seq = 3")
    settle(window, 2)
    assert (models(window), troubles) == ("_d", ["lost 2 rows"])
    assert (window.rows, window.waiting_rows) == (2, 0)
    in_its_place = window.at(3)
    assert in_its_place is not None
    assert in_its_place.receipt is not None
    in_its_place.receipt.settled(in_its_place, None)
    assert receipt.failures == [(2, "SPOOL_DAMAGED", True)]


def test_a_session_that_is_over_still_spools_and_tells_who_waits(tmp_path: Path) -> None:
    window, _ = opened(tmp_path)
    receipt = Awaited()
    for letter in "abc":
        seal(window, letter, receipt)
    error = HeadraceError("refused")
    failed = window.fail(error)
    assert [batch.rows for batch in failed] == [2, 2, 2]
    assert all(batch.receipt is receipt for batch in failed)
    assert seal(window, "d") == 4
    assert opened(tmp_path)[0].next_seq == 5


def test_a_fork_that_could_not_wait_for_the_window_leaves_it_to_who_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spooled_window, "_STILL_S", 0.01)
    window, _ = opened(tmp_path)
    with window.changed:  # an append that takes long
        window.hold_still()
        window.go_on()
        assert not window.changed.acquire(blocking=False)
    window.hold_still()
    assert not window.changed.acquire(blocking=False)
    window.go_on()
    assert seal(window) == 1


@pytest.mark.parametrize("through", [2, 4])
def test_what_is_unsettled_counts_what_waits_on_disk(tmp_path: Path, through: int) -> None:
    window, _ = opened(tmp_path)
    for letter in "abcd":
        seal(window, letter)
    assert window.unsettled(through) == (4, 2) if through == 2 else (8, 4)
