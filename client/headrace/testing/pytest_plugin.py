"""The pytest fixture `headrace_service`: a fake service for each test that asks.

In conftest.py: `pytest_plugins = ["headrace.testing.pytest_plugin"]`
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headrace.testing.service import FakeService


@pytest.fixture
def headrace_service() -> Iterator[FakeService]:
    """A running fake service, gone after the test."""
    with FakeService() as service:
        yield service
