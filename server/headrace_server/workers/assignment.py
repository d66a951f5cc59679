"""What the parent tells a worker: a line of JSON on its standard input, which then stays open while the parent lives.

Settings hold secrets, and arguments and variables of a process are for others to see; a pipe is not. Its end is news,
too: it comes when the parent is gone, however it went.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from headrace_server.config import Settings
from headrace_server.config.variables import VARIABLES

PIECE_BYTES = 65_536


class ParentGoneError(Exception):
    """The parent was gone before it had said what is to be done."""


@dataclass(frozen=True)
class Assignment:
    """One worker's part.

    Attributes:
        number: Which worker it is, from 0.
        workers: How many there are.
        folder: The private folder where each of them answers the others.
        settings: Its share of the settings.
    """

    number: int
    workers: int
    folder: Path
    settings: Settings

    def line(self) -> bytes:
        """Return it as the worker reads it."""
        values = self.settings.model_dump(mode="json")
        for variable in VARIABLES:
            if variable.secret and (secret := getattr(getattr(self.settings, variable.group), variable.field)):
                values[variable.group][variable.field] = secret.get_secret_value()
        told = {"number": self.number, "workers": self.workers, "folder": str(self.folder), "settings": values}
        return json.dumps(told).encode() + b"\n"


def read_assignment(pipe: int) -> Assignment:
    """Read what the parent wrote, and leave the pipe as it is.

    Args:
        pipe: File descriptor of the worker's standard input.

    Raises:
        ParentGoneError: Nothing whole came.
    """
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(pipe, PIECE_BYTES)
        if not piece:
            raise ParentGoneError("the parent is gone")
        line += piece
    told = json.loads(line)
    return Assignment(told["number"], told["workers"], Path(told["folder"]), Settings(**told["settings"]))
