"""A run follows from its seed, so that the command a failure prints shows it again."""

from __future__ import annotations

from random import Random

from chaos import schedule
from chaos.faults import COMPOUND, FAULTS
from chaos.rows import Event


def test_the_short_form_has_25_cycles_in_an_order_of_its_seeds_own() -> None:
    assert len(schedule.short(1).faults) == 25
    assert schedule.short(1).faults == schedule.short(1).faults
    assert schedule.short(1).faults != schedule.short(2).faults


def test_the_full_form_is_cut_into_runs_that_a_command_can_repeat() -> None:
    runs = list(schedule.full(7, [FAULTS["kill-service"]], cycles=60))
    assert [(run.seed, len(run.faults)) for run in runs] == [(7, 25), (8, 25), (9, 10)]
    (again,) = schedule.full(9, [FAULTS["kill-service"]], cycles=10)
    assert (again.seed, again.faults) == (runs[2].seed, runs[2].faults)
    assert sum(len(run.faults) for run in schedule.full(1, [COMPOUND])) == COMPOUND.cycles


def test_rows_follow_from_their_producer_and_seed() -> None:
    assert Event.made("p1", 3, Random("1 p1")) == Event.made("p1", 3, Random("1 p1"))
    assert Event.made("p1", 3, Random("1 p1")).fingerprint != Event.made("p1", 3, Random("2 p1")).fingerprint
