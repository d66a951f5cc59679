"""What a key may be used for. None holds another: a key that ingests reads nothing back."""

from enum import StrEnum


class Scope(StrEnum):
    """A scope, by the name the command line and the database have for it; on the wire it is headrace.v1.Scope."""

    INGEST = "ingest"
    LABEL = "label"
    READ = "read"
    ADMIN = "admin"


EVERY_SCOPE = frozenset(Scope)
