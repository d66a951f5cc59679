import time

from benchmarks.quiet import QUIET, Others, Patience, undisturbed


def test_disturbed_turns_do_not_count_where_two_were_calm() -> None:
    assert undisturbed([0.0, 0.5, QUIET, 0.3]) == [True, False, True, False]


def test_the_quieter_half_counts_where_all_were_disturbed() -> None:
    assert undisturbed([0.5, 0.2, 0.3, 0.9]) == [False, True, True, False]
    assert undisturbed([0.5, 0.9, 0.7]) == [True, False, True]


def test_a_single_turn_counts_whatever_happened() -> None:
    assert undisturbed([0.9]) == [True]


def test_our_own_time_is_not_taken_for_somebody_elses() -> None:
    others = Others()
    begun = time.process_time()
    while time.process_time() - begun < 0.3:
        pass
    with_ours_left_out = others.share(time.process_time() - begun)
    assert with_ours_left_out < others.share(0.0)


def test_patience_that_is_spent_looks_no_more() -> None:
    patience = Patience(-1.0)
    patience.wait()
    assert patience.left_s == -1.0
