from headrace_server.access import pace
from headrace_server.access.pace import Pace


class Clock:
    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


def paced(monkeypatch, per_s):
    clock, one = Clock(), Pace()
    monkeypatch.setattr(pace, "monotonic", clock)
    one.limit(per_s)
    return clock, one


def test_without_a_limit_nobody_waits(monkeypatch):
    _, one = paced(monkeypatch, None)
    one.charge(10**12)
    assert one.wait_s == 0


def test_a_second_ahead_is_free_and_the_rest_is_waited_for(monkeypatch):
    clock, one = paced(monkeypatch, 100)
    one.charge(100)
    assert one.wait_s == 0
    one.charge(300)
    assert one.wait_s == 3
    clock.now += 2.5
    assert one.wait_s == 0.5
    clock.now += 60
    one.charge(100)
    assert one.wait_s == 0, "what was not taken while idle is not saved up beyond the burst"
    one.charge(1)
    assert one.wait_s > 0


def test_what_is_owed_is_paid_at_the_rate_that_holds_now(monkeypatch):
    _, one = paced(monkeypatch, 100)
    one.charge(1_100)
    assert one.wait_s == 10
    one.limit(1_100)
    assert one.wait_s == 0
    one.limit(None)
    one.charge(10**9)
    assert one.wait_s == 0
