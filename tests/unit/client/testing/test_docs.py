"""The code in docs/testing.md works as it stands."""

from __future__ import annotations

import re
from pathlib import Path

from headrace.testing import FakeService

PAGE = Path(__file__).parents[4] / "docs" / "testing.md"


def test_the_examples_of_the_page_run() -> None:
    names: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE):
        exec(block, names)
    tests = [test for name, test in names.items() if name.startswith("test_")]
    for test in tests:
        assert callable(test)
        with FakeService() as service:
            test(service) if test.__code__.co_argcount else test()  # type: ignore[attr-defined]
    assert len(tests) == 2


def test_every_behaviour_is_on_the_page() -> None:
    text = PAGE.read_text()
    for name in FakeService().behaviour.__slots__:
        if name not in {"max_batch_rows", "suggested_linger_ms"}:
            assert name in text, name
