from benchmarks.targets import TARGETS, Target, held_against


def test_a_target_holds_at_its_bound() -> None:
    least, most = Target("a", 0.9, ""), Target("b", 5.0, "", at_most=True)
    assert least.is_met(0.9)
    assert not least.is_met(0.89)
    assert most.is_met(5.0)
    assert not most.is_met(5.01)


def test_what_was_not_measured_is_not_told() -> None:
    grid = held_against({"ack_ms.p50": 4.0}, {})
    assert [line[0] for line in grid.lines] == ["one event, idle service, durable ack, p50 ms"]
    assert grid.lines[0][-1] == "yes"


def test_a_missed_target_stands_out() -> None:
    grid = held_against({"ratio.log_vs_copy": 0.3}, {"ratio.log_vs_copy": (0.2, 0.4)})
    assert grid.lines[0][1:] == ["≥ 0.4", "0.3 (0.2 – 0.4)", "**no**"]


def test_every_figure_has_one_target() -> None:
    assert len({target.figure for target in TARGETS}) == len(TARGETS)
