"""Runs one outside program with a deadline, optionally as another account.

In: the command. Out: what it printed. A failure, a missing program and a missed deadline are all `CommandError`.
A cancelled caller leaves nothing behind: the program and its children are killed, which also ends the waiting thread.

Nothing here forks: a forked copy of a process with busy gRPC threads in it crashes nearly every second time, before it
becomes anything. So it is `subprocess`, which gets along without (vfork) as long as it need not change the account;
that is left to a small Python program, which then becomes the command.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from headrace_server.storage.embedded.account import Account
from headrace_server.storage.embedded.errors import CommandError

# Runs a command as another account: uid, gid, command… Once changed, the account may not even reach Python's library.
AS_ACCOUNT = """
import os, sys
uid, gid = map(int, sys.argv[1:3])
os.setgroups([])
os.setgid(gid)
os.setuid(uid)
try:
    os.execv(sys.argv[3], sys.argv[3:])
except OSError as error:
    sys.exit(f"{sys.argv[3]} could not be started: {error}")
"""

# The rest of our environment may hold keys, and anything in PG* or LD_* would lead PostgreSQL astray.
PASSED_ON = ("PATH", "HOME", "TMPDIR")


def spawn(
    command: Sequence[str | Path],
    *,
    account: Account | None = None,
    cwd: Path | None = None,
    stdout: int = subprocess.DEVNULL,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command` in a session of its own, so that neither our death nor a Ctrl-C at the terminal reaches it.

    Args:
        command: The program and its arguments.
        account: Whom to run it as; None means as ourselves.
        cwd: Its working folder; `/` by default, since another account may not be able to enter ours.
        stdout: Where both its streams go.
        environment: Variables beside PATH, HOME, TMPDIR and LC_ALL=C.

    Raises:
        CommandError: The program could not be started.
    """
    program, *options = (os.fspath(part) for part in command)
    arguments = [program, *options]
    if account is not None:
        found = shutil.which(program)
        if found is None:
            raise CommandError(program, "could not be started: there is no such program")
        changing = (sys.executable, "-I", "-S", "-c", AS_ACCOUNT, str(account.uid), str(account.gid))
        arguments = [*changing, found, *options]
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    try:
        return subprocess.Popen(  # noqa: S603 — fixed programs, no shell
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            cwd=cwd or "/",
            env={**passed_on, "LC_ALL": "C", **(environment or {})},
            start_new_session=True,
            umask=0o022,
        )
    except OSError as error:
        raise CommandError(program, f"could not be started: {error}") from error


async def run(
    command: Sequence[str | Path],
    *,
    timeout_s: float,
    account: Account | None = None,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run `command` to its end and return what it printed.

    Raises:
        CommandError: It could not be started, failed, or did not end within `timeout_s`.
    """
    program = Path(command[0]).name
    process = spawn(command, account=account, cwd=cwd, stdout=subprocess.PIPE, environment=environment)
    waiting = asyncio.create_task(asyncio.to_thread(process.communicate))
    try:
        # Shielded, because the thread goes on until the program ends; who leaves early kills the program.
        printed, _ = await asyncio.wait_for(asyncio.shield(waiting), timeout_s)
    except TimeoutError as error:
        raise CommandError(program, f"did not end within {timeout_s:g} s") from error
    finally:
        if not waiting.done():
            # Its children too: they hold the other end of the pipe, and the thread reads until that is closed.
            os.killpg(process.pid, signal.SIGKILL)
            await waiting
    text = printed.decode(errors="replace")
    if process.returncode != 0:
        raise CommandError(program, f"failed with exit code {process.returncode}", text)
    return text
