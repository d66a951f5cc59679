"""Keeps docs/guarantees.md true: the table of all that is kept goes between two marks of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import quantiles

from chaos.faults import FAULTS
from chaos.results import Result

PAGE = Path(__file__).parents[2] / "docs" / "guarantees.md"
BEGIN, END = "<!-- measured by make chaos: begin -->", "<!-- measured by make chaos: end -->"
HEAD = (
    "| fault | cycles | rows | lost | doubled | altered | gaps | first ack again, p50 · p95 "
    "| every producer, p50 · p95 | seeds |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
)


def renewed(page: str, results: Sequence[Result]) -> str:
    """Return the page with the table between its marks.

    Raises:
        ValueError: The marks are not there, or not in this order.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks {BEGIN!r} … {END!r}")
    return f"{before}{BEGIN}\n\n{table(results)}\n\n{circumstances(results)}\n\n{END}{after}"


def table(results: Sequence[Result]) -> str:
    """A line a fault, and their sum."""
    lines = [HEAD]
    for name, fault in FAULTS.items():
        if own := [result for result in results if result.fault == name]:
            lines.append(_line(fault.what, own, _recovery(own)))
    lines.append(_line("**all**", results, ("", "", "")))
    return "\n".join(lines)


def circumstances(results: Iterable[Result]) -> str:
    """When, where and with what."""
    results = list(results)
    dates = sorted({result.date for result in results})
    commits = list(dict.fromkeys(result.commit for result in results))
    loads = [result.load for result in results]
    versions = results[-1].versions
    return (
        f"{' to '.join(dict.fromkeys((dates[0], dates[-1])))}, commits {', '.join(commits)}; "
        f"{', '.join(f'{name} {number}' for name, number in versions.items())}; {results[-1].cores} cores, "
        f"shared with others: load {min(loads):g}–{max(loads):g}; {sum(r.took_s for r in results) / 60:.0f} minutes."
    )


def _line(what: str, results: Sequence[Result], recovery: Sequence[str]) -> str:
    sums = [
        f"{sum(getattr(result, name) for result in results):,}"
        for name in ("rows", "lost", "doubled", "altered", "gaps")
    ]
    cycles = sum(len(result.first_s) for result in results)
    return f"| {' | '.join([what, f'{cycles:,}', *sums, *recovery])} |"


def _recovery(results: Sequence[Result]) -> tuple[str, str, str]:
    first = [each for result in results for each in result.first_s]
    everyone = [each for result in results for each in result.all_s]
    return _middle_and_most(first), _middle_and_most(everyone), _seeds({result.seed for result in results})


def _middle_and_most(seconds: Sequence[float]) -> str:
    cuts = quantiles(seconds, n=20, method="inclusive") if len(seconds) > 1 else [seconds[0]] * 19
    return f"{cuts[9]:.2f} s · {cuts[18]:.2f} s"


def _seeds(seeds: Iterable[int]) -> str:
    """Runs of seeds in a row, as ranges."""
    ranges: list[list[int]] = []
    for seed in sorted(seeds):
        if ranges and ranges[-1][-1] == seed - 1:
            ranges[-1][1:] = [seed]
        else:
            ranges.append([seed])
    return ", ".join("–".join(map(str, each)) for each in ranges)
