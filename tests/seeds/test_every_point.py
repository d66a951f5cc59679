"""Each row of a page's table "Point by point" has its test, and no test is about a row that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.documentation_page import DOCS

PAGES = sorted((DOCS / "coming-from").glob("*.md"))
MARK = re.compile(r'^@point\("(.+)"\)$', re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_point_of_the_page_has_a_test(page: Path) -> None:
    _, _, below = page.read_text().partition("\n## Point by point\n")
    rows = [line for line in below.splitlines() if line.startswith("|")]
    points = {row.strip("|").split("|")[0].strip() for row in rows[2:]}
    marks = set(MARK.findall((Path(__file__).parent / f"test_{page.stem}.py").read_text()))
    assert len(points) >= 11
    assert points == marks
