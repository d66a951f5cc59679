"""The service as its users run it: a process of its own, on free ports, against a database of the test's."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START_S = 30.0
COVERED_ENDS_WITHIN_S = 15.0


@dataclass
class ServiceProcess:
    """A running `headrace serve`.

    Attributes:
        grpc: Address of the gRPC door.
        http: Address of the HTTP door.
        logs: What it has logged so far.
    """

    process: asyncio.subprocess.Process
    grpc: str = ""
    http: str = ""
    logs: list[dict[str, Any]] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def logged(self, event: str, timeout_s: float = START_S) -> dict[str, Any]:
        """Wait until it has logged the event."""
        async with asyncio.timeout(timeout_s):
            while True:
                for line in self.logs:
                    if line.get("event") == event:
                        return line
                assert self.process.returncode is None, f"it ended with {self.process.returncode}: {self.logs[-5:]}"
                self._changed.clear()
                await self._changed.wait()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def ended(self, timeout_s: float = START_S) -> int:
        """Wait for its end; returns its exit code."""
        async with asyncio.timeout(timeout_s):
            return await self.process.wait()

    async def follow(self) -> None:
        """Read its logs until it ends."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            try:
                self.logs.append(json.loads(line))
            except ValueError:
                self.logs.append({"event": "", "text": line.decode(errors="replace").rstrip()})
            self._changed.set()
        await self.process.wait()  # so that whoever waits for a line sees that there will be none
        self._changed.set()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill it, which takes no time; but a killed process cannot say which of its lines it went through."""
    if "COVERAGE_RUN" in os.environ:
        process.terminate()
        with suppress(TimeoutError):
            async with asyncio.timeout(COVERED_ENDS_WITHIN_S):
                await process.wait()
                return
    process.kill()
    await process.wait()


@asynccontextmanager
async def running_service(
    database_url: str | None,
    *arguments: str,
    grpc_port: int = 0,
    cwd: Path | None = None,
    module: str = "headrace_server",
    tell: Callable[[str], object] = print,
    **environment: str,
) -> AsyncIterator[ServiceProcess]:
    """Start the service and wait until it serves; it is gone after the block, however the block ends.

    Args:
        database_url: The database it writes to; None for its own embedded one.
        arguments: More flags of `headrace serve`.
        grpc_port: Port of the gRPC door; 0 takes a free one.
        cwd: Its working directory.
        module: What is run; takes the arguments of `headrace`, and orders on its standard input if it likes.
        tell: Gets what it has logged, but for what is only information; pytest shows prints of failing tests only.
        environment: More variables.
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")} | environment
    if database_url is not None:
        variables["HEADRACE_DATABASE_URL"] = database_url
    ports = ("--grpc-port", str(grpc_port), "--http-port", "0", "--log-format", "json")
    command = (sys.executable, "-m", module, "serve", *ports, *arguments)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=variables, cwd=cwd
    )
    service = ServiceProcess(process)
    following = asyncio.create_task(service.follow())
    try:
        serving = await service.logged("serving")
        service.grpc, service.http = serving["grpc"], serving["http"]
        yield service
    finally:
        tell("\n".join(json.dumps(line) for line in service.logs if line.get("level") != "info"))
        if process.returncode is None:
            await _end(process)
        await following
