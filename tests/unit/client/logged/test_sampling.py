"""Clients and service keep the same events, which docs/sampling.md describes for other languages."""

import random
import re
from pathlib import Path

import pyarrow as pa
import pytest

from headrace.ids import uuid7
from headrace.logged.sampling import bound_of, is_kept
from headrace_server.models.sampling import kept

PAGE = (Path(__file__).parents[4] / "docs/sampling.md").read_text()
VECTORS = re.findall(r"^\| `([^`]+)` \| `([0-9a-f]{16})` \| (0\.\d+) \|", PAGE, flags=re.MULTILINE)


@pytest.mark.parametrize(("event_id", "head", "at"), VECTORS)
def test_the_vectors_of_the_page(event_id: str, head: str, at: str) -> None:
    bound = bound_of(int(head, 16) / 2**64 + 1e-9)
    assert bound is not None
    assert is_kept(event_id, bound)
    below = bound_of(float(at) - 1e-6)
    assert below is not None
    assert not is_kept(event_id, below)


def test_there_are_vectors() -> None:
    assert len(VECTORS) >= 4


@pytest.mark.parametrize("rate", [1e-9, 0.01, 0.1, 0.5, 0.999, 1.0])
def test_client_and_service_agree_and_keep_their_share(rate: float) -> None:
    texts = [uuid7() for _ in range(2_000)] + [f"e{number}" for number in range(2_000)]
    bound = bound_of(rate)
    here = [bound is None or is_kept(text, bound) for text in texts]
    assert kept(pa.array(texts), rate).tolist() == here
    uuids = [bytes.fromhex(text.replace("-", "")) for text in texts[:2_000]]
    assert kept(pa.array(uuids, pa.binary(16)), rate).tolist() == here[:2_000]
    assert sum(here) == pytest.approx(4_000 * rate, abs=4 * (4_000 * rate * (1 - rate)) ** 0.5 + 2)


def test_a_higher_rate_keeps_what_a_lower_one_keeps() -> None:
    ids = pa.array([random.Random(number).randbytes(8).hex() for number in range(1_000)])
    some, more = kept(ids, 0.2), kept(ids, 0.3)
    assert (some <= more).all()
