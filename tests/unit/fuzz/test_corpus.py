"""Every input that the fuzzer begins with, or that it once broke something by, has an outcome."""

from pathlib import Path

import pytest

import fuzz
from fuzz.outcome import check_outcome

CORPUS = sorted((Path(fuzz.__file__).parent / "corpus").iterdir())


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_it_has_an_outcome(path: Path) -> None:
    check_outcome(path.read_bytes())
