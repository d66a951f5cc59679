"""`headrace datasets` against a running service."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import asyncpg

import headrace
from support.service import ServiceProcess, running_service

ROWS = 300


async def verb(service: ServiceProcess, *arguments: str) -> tuple[int, str]:
    """Run `headrace datasets …`; returns its exit code and all it said."""
    environment = os.environ | {"COLUMNS": "200", "HEADRACE_ADDRESS": service.grpc}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "headrace_server", "datasets", *arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_a_file_is_published_completed_looked_at_and_dropped(database_url: str, tmp_path: Path) -> None:
    facts, scores = tmp_path / "facts.csv", tmp_path / "scores.csv"
    facts.write_text("event_id,distance,late\n" + "".join(f"e{n},{n}.5,{n % 2 == 0}\n" for n in range(ROWS)))
    scores.write_text("event_id,score\n" + "".join(f"e{n},0.5\n" for n in range(ROWS)))
    async with running_service(database_url) as service:
        schema = headrace.Schema(
            features={"distance": "float64"}, predictions={"score": "float64"}, labels={"late": "bool"}
        )
        with headrace.connect(service.grpc) as client:
            await asyncio.to_thread(client.register, schema, name="flights")
        assert "no datasets yet" in (await verb(service, "list"))[1]
        code, said = await verb(service, "publish", str(facts), "--name", "jan", "--labels", "late")
        assert (code, "jan: 300 rows" in said) == (0, True), said
        code, said = await verb(service, "publish", str(scores), "-n", "jan", "-m", "flights", "--complete")
        assert (code, "jan: 300 rows" in said) == (0, True), said
        code, said = await verb(service, "publish", str(facts), "-n", "jan", "--labels", "late")
        assert (code, "DATASET_EXISTS" in said) == (1, True), said
        code, said = await verb(service, "publish", str(facts), "-n", "feb", "-m", "flights", "--expected-rows", "301")
        assert (code, "DATASET_ROW_COUNT: 301 rows were expected and 300 came" in said) == (1, True), said
        assert "baseline of flights: jan" in (await verb(service, "baseline", "jan", "-m", "flights"))[1]
        said = (await verb(service, "list", "--model", "flights"))[1]
        assert all(words in said for words in ("flights", "jan", "300", "yes"))
        said = (await verb(service, "show", "jan", "-m", "flights"))[1]
        assert all(words in said for words in ('"main"."flights_datasets"', "score", "300"))
        assert "DATASET_IS_BASELINE" in (await verb(service, "drop", "jan", "-m", "flights"))[1]
        assert (await verb(service, "drop", "jan"))[0] == 0
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetchrow(
        "SELECT count(*), sum(score), count(*) FILTER (WHERE label_late) FROM main.flights_datasets"
    )
    await connection.close()
    assert tuple(rows) == (ROWS, ROWS / 2, ROWS / 2)
