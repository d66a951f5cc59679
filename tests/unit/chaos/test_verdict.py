"""The comparison finds what is planted: if it could not fail, its zeros would say nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.oracle import Oracle, OracleWriter
from chaos.verdict import Row, Verdict

SENT = {f"e{number}": f"print of {number}" for number in range(10)}


def oracle(path: Path, *, acked: int, is_closed: bool = False) -> Oracle:
    """What a producer knows that has logged ten rows, and seen some of them acked."""
    writer = OracleWriter(path / "oracle")
    writer.intends("events", SENT.items())
    writer.acked("events", list(SENT)[:acked])
    if is_closed:
        writer.closed(["a", "b"], 7)
    return Oracle.read(path / "oracle")


def judged(producer: Oracle, stored: list[Row]) -> tuple[int, int, int]:
    verdict = Verdict()
    verdict.judge("events", [producer], stored)
    assert verdict.is_clean is not bool(verdict.findings)
    return verdict.lost, verdict.doubled, verdict.altered


def test_all_is_well(tmp_path: Path) -> None:
    assert judged(oracle(tmp_path, acked=10), list(SENT.items())) == (0, 0, 0)


def test_a_row_that_was_acked_is_missing(tmp_path: Path) -> None:
    assert judged(oracle(tmp_path, acked=10), list(SENT.items())[1:]) == (1, 0, 0)


def test_a_row_is_there_twice(tmp_path: Path) -> None:
    assert judged(oracle(tmp_path, acked=10), [*SENT.items(), ("e3", SENT["e3"])]) == (0, 1, 0)


@pytest.mark.parametrize("row", [("e3", "print of 4"), ("e10", "print of 10")], ids=["another's cells", "not sent"])
def test_a_row_is_not_as_it_was_sent(tmp_path: Path, row: Row) -> None:
    assert judged(oracle(tmp_path, acked=10), list((SENT | dict([row])).items())) == (0, 0, 1)


def test_a_killed_producer_is_owed_what_was_acked_and_may_find_more(tmp_path: Path) -> None:
    assert judged(oracle(tmp_path, acked=4), list(SENT.items())[:4]) == (0, 0, 0)
    assert judged(oracle(tmp_path, acked=4), list(SENT.items())) == (0, 0, 0)


def test_a_producer_that_closed_is_owed_everything(tmp_path: Path) -> None:
    assert judged(oracle(tmp_path, acked=4, is_closed=True), list(SENT.items())[:4]) == (6, 0, 0)


def test_a_record_that_was_being_written_when_the_producer_was_killed_counts_for_nothing(tmp_path: Path) -> None:
    oracle(tmp_path, acked=4)
    with (tmp_path / "oracle").open("ab") as file:
        file.write(b'["acked", "events", ["e9"')
    assert len(Oracle.read(tmp_path / "oracle").acked["events"]) == 4


def test_the_ledger_accounts_for_every_batch(tmp_path: Path) -> None:
    producer = oracle(tmp_path, acked=10, is_closed=True)
    for seqs, noticed, gaps in [({"a": 4, "b": 3}, 0, 0), ({"a": 4}, 0, 3), ({"a": 4, "b": 3}, 2, 2)]:
        verdict = Verdict()
        verdict.judge_ledger([producer], seqs, noticed)
        assert (verdict.gaps, verdict.is_clean) == (gaps, not gaps)


def test_what_must_not_happen_to_users_code_is_no_clean_verdict(tmp_path: Path) -> None:
    OracleWriter(tmp_path / "oracle").complains("raised")
    verdict = Verdict()
    verdict.judge_ledger([Oracle.read(tmp_path / "oracle")], {}, 0)
    assert (verdict.is_clean, verdict.findings) == (False, ["raised"])


def test_the_ledgers_counts_are_held_against_the_tables() -> None:
    for counted, is_clean in [(10, True), (9, False), (11, False)]:
        verdict = Verdict()
        verdict.judge_counts(counted, 10)
        assert verdict.is_clean is is_clean
