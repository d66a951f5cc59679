"""Keys and certificates that may be given as files, which are read again at every reconnect: so they are renewed.

A file that cannot be read just then (it is being replaced) leaves what was read before in force; a client that is made
with one is told at once.
"""

from __future__ import annotations

import logging
import os

from headrace.errors import InvalidArgumentError

Source = bytes | str | os.PathLike[str]

logger = logging.getLogger("headrace")


class SecretFile:
    """Bytes in a file.

    Args:
        path: The file.
        what: What is in it, for messages.

    Raises:
        InvalidArgumentError: It cannot be read now.
    """

    def __init__(self, path: str | os.PathLike[str], what: str) -> None:
        self._path = os.fspath(path)
        self._what = what
        try:
            self._content = self._now()
        except OSError as error:
            raise InvalidArgumentError(f"{what}: {self._path} cannot be read: {error.strerror}") from error

    def _now(self) -> bytes:
        with open(self._path, "rb") as file:  # noqa: PTH123 -- pathlib takes longer to import than half of the SDK
            return file.read()

    def read(self) -> bytes:
        """Return what is in the file now, or was when it could last be read."""
        try:
            self._content = self._now()
        except OSError as error:
            logger.warning("%s: %s cannot be read (%s); going on with what it held", self._what, self._path, error)
        return self._content
