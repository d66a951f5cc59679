"""A value that is possible by itself, but not beside the others."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Contradiction:
    """One broken rule between settings.

    Attributes:
        key: The setting to change, dotted.
        value: What it is.
        rule: What it must be, as the end of the sentence that begins with the key.
    """

    key: str
    value: object
    rule: str
