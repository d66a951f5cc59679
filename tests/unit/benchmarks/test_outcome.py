from benchmarks.outcome import Grid, Outcome


def test_a_grid_is_a_markdown_table() -> None:
    text = Grid("Title", ["a", "b"], [["1", "2"]], "A note.").markdown()
    assert text == "### Title\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\nA note.\n"


def test_an_outcome_takes_over_what_another_has_found() -> None:
    all_parts = Outcome(figures={"a": 1.0})
    all_parts.add(Outcome(figures={"b": 2.0}, spreads={"b": (1.0, 3.0)}, series={"s": [(1.0, 2.0)]}))
    assert all_parts.figures == {"a": 1.0, "b": 2.0}
    assert all_parts.spreads == {"b": (1.0, 3.0)}
    assert all_parts.series == {"s": [(1.0, 2.0)]}
