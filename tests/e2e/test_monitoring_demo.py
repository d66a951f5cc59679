"""The monitoring demo, as `make demo-monitoring` runs it, on some days: its figures are what pandas computes."""

import asyncio
import sys

from support.service import running_service


async def test_every_figure_is_what_pandas_says(database_url: str) -> None:
    async with running_service(database_url) as service:
        command = ("-m", "examples.flights.monitoring", "--address", service.grpc, "--days", "3")
        demo = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await demo.communicate()
        print(output.decode())
        assert demo.returncode == 0
        assert b"0 figures differ" in output
