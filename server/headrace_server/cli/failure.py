"""How a verb ends when it cannot do what was asked: one plain message on standard error, no traceback."""

from typing import NoReturn

import typer

FAILED = 1
MISUSED = 2


def fail(message: object, code: int = FAILED) -> NoReturn:
    """Print what is wrong and end the process.

    Args:
        message: What is wrong and what to do.
        code: Exit code: 1 it failed, 2 it was asked for wrongly.
    """
    typer.secho(f"headrace: {message}", fg=typer.colors.RED, err=True)
    raise typer.Exit(code)
