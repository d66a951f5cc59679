"""The monitoring demo as a newcomer runs it, on a few days: headrace and pandas agree in every figure."""

import asyncio
import re
import sys
from pathlib import Path

from support.service import running_service

ROOT = Path(__file__).parents[2]
DEADLINE_S = 120.0


async def test_every_figure_is_what_pandas_computes(database_url: str) -> None:
    async with running_service(database_url) as service:
        options = ("--address", service.grpc, "--database-url", database_url, "--days", "3")
        demo = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "examples.flights.monitoring", *options),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=ROOT,
        )
        try:
            async with asyncio.timeout(DEADLINE_S):
                output, _ = await demo.communicate()
        finally:
            if demo.returncode is None:
                demo.kill()
                await demo.wait()
    said = output.decode()
    assert demo.returncode == 0, said
    answers = re.findall(r"(yes|no) *$", said, re.MULTILINE)
    assert len(answers) > 40, said
    assert set(answers) == {"yes"}, said
    for figure in (
        "auc",
        "shadow-2: auc",
        "drift of dep_delay: psi",
        "ORD, as of before: late",
        "mean influence: carrier",
    ):
        assert re.search(rf"^ *{figure} ", said, re.MULTILINE), said
