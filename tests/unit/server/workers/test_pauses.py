from headrace_server.workers.pauses import LONGEST_PAUSE_S, STEADY_S, Pauses


def test_pauses_double_up_to_the_longest():
    pauses = Pauses()
    waited = [pauses.after(0.1) for _ in range(8)]
    assert waited == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, LONGEST_PAUSE_S, LONGEST_PAUSE_S]


def test_pauses_begin_anew_after_a_steady_life():
    pauses = Pauses()
    for _ in range(5):
        pauses.after(0.1)
    assert pauses.after(STEADY_S) == 0.2
    assert pauses.after(0.1) == 0.4
