"""The verdict on one cell, raised where it is found and caught where the column is put together."""

import reprlib

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60
_SHORT.maxlevel = 2


class CellError(Exception):
    """A cell that does not fit its column."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def shown(value: object) -> str:
    """The value as an example in a message: short, however large and deep it is."""
    text = repr(value[:60]) if isinstance(value, str | bytes) else _SHORT.repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
