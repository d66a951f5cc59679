"""The wheel, built once for all environments of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.light_environment import build_wheel


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))
