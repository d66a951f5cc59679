"""The page's table is what the runs have found."""

from __future__ import annotations

import pytest

from chaos import report
from chaos.results import Result


def result(fault: str, seed: int, *seconds: float, lost: int = 0) -> Result:
    return Result(
        fault=fault,
        seed=seed,
        rows=1_000,
        lost=lost,
        doubled=0,
        altered=0,
        gaps=0,
        complaints=0,
        first_s=list(seconds),
        all_s=[2 * each for each in seconds],
        took_s=60.0,
        date="2026-01-01",
        commit=f"c{seed}",
        versions={"python": "3.11"},
        load=float(seed),
        cores=2,
    )


def test_a_line_a_fault_and_their_sum() -> None:
    table = report.table(
        [result("kill-service", 1, 1.0), result("kill-service", 2, 2.0), result("compound", 1, 0.5, lost=3)]
    )
    kill, compound, everything = table.splitlines()[2:]
    assert kill == (
        "| kill -9 of the service at any moment | 2 | 2,000 | 0 | 0 | 0 | 0 | 1.50 s · 1.95 s | 3.00 s · 3.90 s | 1–2 |"
    )
    assert "| 1 | 1,000 | 3 | 0 |" in compound
    assert everything.startswith("| **all** | 3 | 3,000 | 3 | 0 |")


def test_only_what_is_between_the_marks_is_renewed() -> None:
    page = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    renewed = report.renewed(page, [result("kill-service", 1, 1.0)])
    assert renewed.startswith("before\n")
    assert renewed.endswith("\nafter\n")
    assert "old" not in renewed
    assert "commits c1; python 3.11; 2 cores" in renewed
    with pytest.raises(ValueError, match="lacks"):
        report.renewed("no marks", [])
