import pytest

from benchmarks.page import BEGIN, END, PAGE, renewed


def test_what_was_measured_replaces_what_stood_between_the_marks() -> None:
    page = f"# Title\n\n{BEGIN}\n\nold\n\n{END}\n\nrest\n"
    assert renewed(page, "new\n") == f"# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\nrest\n"
    assert renewed(renewed(page, "new"), "newer") == renewed(page, "newer")


def test_a_page_without_marks_is_not_written_over() -> None:
    with pytest.raises(ValueError, match="lacks"):
        renewed("# Title\n", "new")


def test_the_page_in_docs_has_its_marks() -> None:
    assert "new" in renewed(PAGE.read_text(), "new")
