"""headrace: stream inference events and their labels, and know what became of every row."""

from headrace.version import __version__

__all__ = ["__version__"]
