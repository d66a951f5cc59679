"""Files are read part by part; what one line does not keep to is that line's matter."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

import headrace
from headrace import InvalidArgumentError
from headrace.testing import FakeService

MANY = 1_200
PADDING = "p" * 1_000
"""Makes so many lines more than the block from which types are told."""

Csv = Callable[[str, Sequence[str]], Path]


@pytest.fixture
def csv(tmp_path: Path) -> Csv:
    """Write a CSV file of event_id and x: a value in most lines, then others."""

    def write(usual: str, odd: Sequence[str]) -> Path:
        cells = [usual] * MANY + list(odd)
        lines = [f"event{number:07},{cell},{PADDING}" for number, cell in enumerate(cells)]
        (tmp_path / "rows.csv").write_text("\n".join(["event_id,x,padding", *lines]))
        return tmp_path / "rows.csv"

    return write


@pytest.mark.parametrize(
    ("usual", "odd", "stored"),
    [
        ("7", ["1.5", "NA", "8"], [7, 1.5, None, 8.0]),
        ("", ["1.5", "2"], [None, 1.5, 2.0]),
        ("", ["word", "2"], [None, "word", "2"]),
        ("NA", ["2013-01-01T00:00:00Z"], [None, datetime(2013, 1, 1, tzinfo=UTC)]),
        ("1.5", ["soon", "2.5"], [1.5, "soon", 2.5]),
        ("true", ["perhaps", "false"], [True, "perhaps", False]),
    ],
)
def test_a_line_that_differs_from_the_beginning_loses_no_other(
    service: FakeService, csv: Csv, usual: str, odd: Sequence[str], stored: Sequence[object]
) -> None:
    with headrace.connect(service.address) as client:
        result = client.model("m").publish(csv(usual, odd), features=["x"])
    rows = sorted(service.events("m"), key=lambda row: str(row["event_id"]))
    assert result.stored == len(rows) == MANY + len(odd)
    assert [row.get("x") for row in [rows[0], *rows[-len(odd) :]]] == stored


def test_a_compressed_file_is_read_too(service: FakeService, client: headrace.Client, tmp_path: Path) -> None:
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(b"event_id,x\na,1\n"))
    assert client.model("m").publish(tmp_path / "rows.csv.gz").stored == 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("short.csv", b"event_id,x\na,1\nb\n", "Expected 2 columns, got 1"),
        ("empty.csv", b"", "Empty CSV file"),
        ("twice.csv", b"event_id,x,x\na,1,2\n", "called 'x'"),
        ("broken.parquet", b"PAR1 and no more", "broken.parquet"),
        ("broken.csv.gz", b"no gzip", "broken.csv.gz"),
    ],
)
def test_a_damaged_file_is_told_by_name(
    client: headrace.Client, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidArgumentError, match=words):
        client.model("m").publish(tmp_path / name)
