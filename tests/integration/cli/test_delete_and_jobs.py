"""`headrace delete` and `headrace jobs` against a running service."""

import asyncio
import os
import subprocess
import sys

import headrace
from support.service import running_service


def headrace_command(address, *arguments, answers=""):
    """Run `headrace …` on the service; returns the finished process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    environment |= {"COLUMNS": "200", "HEADRACE_ADDRESS": address}
    command = [sys.executable, "-m", "headrace_server", *arguments]
    return subprocess.run(
        command, env=environment, input=answers, capture_output=True, text=True, timeout=60, check=False
    )


async def test_events_are_deleted_by_id_and_time_and_the_jobs_that_did_it_are_listed(database_url, tmp_path):
    async with running_service(database_url) as service:

        def run(*arguments, answers=""):
            return asyncio.to_thread(headrace_command, service.grpc, *arguments, answers=answers)

        client = headrace.connect(service.grpc)
        schema = headrace.Schema(features={"x": "float64"}, labels={"late": "bool"})
        model = await asyncio.to_thread(client.register, schema, name="flight_delay")
        rows = [
            {
                "event_id": "of two words" if day == 3 else f"e{day}",
                "event_time": f"2026-01-{day:02}T12:00:00Z",
                "x": 1.0,
                "late": True,
            }
            for day in range(1, 11)
        ]
        await asyncio.to_thread(model.publish, rows, labels="late")
        assert (await run("jobs", "list")).stdout == "no jobs\n"

        ids = tmp_path / "ids"
        ids.write_text("e2\nof two words\n")
        by_id = await run("delete", "flight_delay", "--id", "e1", "--ids-file", str(ids), "--confirm", "flight_delay")
        assert by_id.returncode == 0, by_id.stderr
        assert "delete_events of flight_delay, succeeded" in by_id.stdout
        window = ("--from", "2026-01-04T00:00:00Z", "--until", "2026-01-06T00:00:00Z")
        by_time = await run("delete", "flight_delay", *window, answers="flight_delay\n")
        assert by_time.returncode == 0, by_time.stderr
        left = await asyncio.to_thread(model.events().to_list)
        assert sorted(row["event_id"] for row in left) == ["e10", "e6", "e7", "e8", "e9"]

        listed = (await run("jobs", "list", "--kind", "delete_events", "--state", "succeeded")).stdout
        lines = [line.split() for line in listed.splitlines() if "flight_delay" in line]
        assert len(lines) == 2
        shown = await run("jobs", "show", lines[0][0])
        assert "flight_delay, succeeded" in shown.stdout
        assert "deleted:" in shown.stdout
        assert "succeeded" in (await run("jobs", "cancel", lines[0][0])).stdout

        for arguments, said in (
            (("delete", "flight_delay"), "say which events"),
            (("delete", "flight_delay", "--id", "e6", "--confirm", "flights"), "DELETE_NOT_CONFIRMED"),
            (
                ("delete", "flight_delay", "--from", "2026-01-04", "--until", "2026-01-05", "--confirm", "x"),
                "time zone",
            ),
            (("jobs", "list", "--state", "lost"), "no state 'lost'"),
            (("jobs", "show", "018f3c1e-0000-7000-8000-000000000000"), "JOB_NOT_FOUND"),
        ):
            refused = await run(*arguments)
            assert refused.returncode != 0
            assert said in refused.stderr, refused.stderr
        await asyncio.to_thread(client.close)
