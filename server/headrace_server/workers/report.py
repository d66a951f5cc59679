"""What a worker tells its parent: a line of JSON on its standard output once it serves, or when it could not."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Report:
    """One line.

    Attributes:
        serves: It is ready for calls.
        failure: What kept it from serving, for the person who started the service; "" when nothing did.
    """

    serves: bool = False
    failure: str = ""

    def line(self) -> bytes:
        """Return it as the parent reads it."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @staticmethod
    def read(line: bytes) -> Report:
        """Return the report that a line is; an empty one for what some library has printed."""
        try:
            told = json.loads(line)
            return Report(bool(told["serves"]), str(told["failure"]))
        except (ValueError, TypeError, KeyError):
            return Report()
