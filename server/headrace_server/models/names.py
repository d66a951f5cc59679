"""From the names users write to the names tables have, and the only place where SQL identifiers are quoted.

Folding: NFKD, case folded, combining marks dropped; other letters and digits beyond ASCII become `u<hex>`; each run of
anything else becomes one `_`, none at the ends; a leading digit gets `n` before it; what is longer than 48 characters
keeps 39 and a hash of the whole, so distinct names stay distinct. A folded name folds to itself. docs/schema.md has
examples.
"""

import hashlib
import re
import unicodedata
from functools import lru_cache

from headrace_server.errors import NameInvalidError
from headrace_server.models.system_columns import SYSTEM_NAMES

MAX_NAME_CHARACTERS = 48
MAX_WRITTEN_CHARACTERS = 256

# What we append to a model's name for its other tables, views and functions.
RESERVED_SUFFIXES = (
    "_labels",
    "_inbox",
    "_influences",
    "_variants",
    "_metrics",
    "_baseline",
    "_datasets",
    "_volume",
    "_profiles",
    "_histograms",
    "_categories",
    "_dataset",
    "_performance",
    "_drift",
    "_joined",
    "_joined_between",
    "_joined_as_of",
    "_influences_latest",
    "_influences_as_of",
    "_variants_latest",
    "_variants_as_of",
    "_metrics_latest",
    "_metrics_as_of",
    "_orphans",
)
RESERVED_NAMES = frozenset({"headrace", "public", "information_schema"})
RESERVED_PREFIXES = ("pg_", "timescaledb_", "toolkit_")

# Columns that every PostgreSQL table has and the one that names a dataset, and those the inboxes of late rows keep.
_OTHER_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid", "dataset"})
INBOX_NAMES = frozenset({"inbox_id", "producer_id", "seq", "row_index"})

_HEAD_CHARACTERS = 39
_MAX_IDENTIFIER_CHARACTERS = 63
_OTHERS = re.compile(r"[^a-z0-9]+")


@lru_cache(maxsize=8192)
def fold(name: str) -> str:
    """Return the name as SQL has it, `[a-z][a-z0-9_]{0,47}`.

    Raises:
        NameInvalidError: It holds no letter and no digit, is longer than 256 characters, or no text for PostgreSQL.
    """
    if len(name) > MAX_WRITTEN_CHARACTERS:
        raise NameInvalidError(f"the name {name[:60]!r}… is longer than {MAX_WRITTEN_CHARACTERS} characters")
    if not storable(name):
        raise NameInvalidError(
            f"the name {name!r} holds NUL or half of a surrogate pair, which PostgreSQL cannot store"
        )
    plain = "".join(_plain(character) for character in unicodedata.normalize("NFKD", name).casefold())
    folded = _OTHERS.sub("_", plain).strip("_")
    if not folded:
        raise NameInvalidError(f"the name {name!r} has no letter and no digit")
    if folded[0].isdigit():
        folded = f"n{folded}"
    if len(folded) > MAX_NAME_CHARACTERS:
        tail = hashlib.sha256(folded.encode()).hexdigest()[:8]
        folded = f"{folded[:_HEAD_CHARACTERS].rstrip('_')}_{tail}"
    return folded


def storable(text: str) -> bool:
    """Tell whether PostgreSQL has such a text: no NUL, no half of a surrogate pair."""
    return "\0" not in text and not any(unicodedata.category(character) == "Cs" for character in text)


def _plain(character: str) -> str:
    if character.isascii():
        return character
    category = unicodedata.category(character)
    if category.startswith("M"):
        return ""
    return f"u{ord(character):x}" if category[0] in "LN" else "_"


def fold_project(name: str) -> str:
    """Return the project's name as a schema has it.

    Raises:
        NameInvalidError: It cannot be folded, or is reserved.
    """
    return _unreserved(name, "project")


def fold_model(name: str) -> str:
    """Return the model's name as its events table has it.

    Raises:
        NameInvalidError: It cannot be folded, is reserved, or ends like a table we make beside a model's.
    """
    folded = _unreserved(name, "model")
    suffix = next((suffix for suffix in RESERVED_SUFFIXES if folded.endswith(suffix)), None)
    if suffix is not None:
        raise NameInvalidError(f"the model name {name!r} ends with {suffix}, which headrace appends to models' tables")
    return folded


def _unreserved(name: str, what: str) -> str:
    folded = fold(name)
    if folded in RESERVED_NAMES or folded.startswith(RESERVED_PREFIXES):
        raise NameInvalidError(f"the {what} name {name!r} is reserved")
    return folded


def fold_column(name: str, *, label: bool = False) -> str:
    """Return the column's name as the table has it: `f_` stands before what a system column is called.

    Args:
        name: As the user wrote it.
        label: It is a label's: the names of the inbox's own columns are taken, too.

    Raises:
        NameInvalidError: It cannot be folded.
    """
    folded = fold(name)
    taken = folded in SYSTEM_NAMES or folded in _OTHER_COLUMNS or (label and folded in INBOX_NAMES)
    return f"f_{folded}" if taken else folded


def beside(sql_name: str, suffix: str) -> str:
    """Return the name of a table or view beside a model's events.

    Where the whole would be longer than the 63 bytes of an identifier, the model's name is cut and a hash of it stands
    in its place, so distinct models keep distinct names.
    """
    room = _MAX_IDENTIFIER_CHARACTERS - len(suffix)
    if len(sql_name) <= room:
        return sql_name + suffix
    tail = hashlib.sha256(sql_name.encode()).hexdigest()[:8]
    return f"{sql_name[: room - len(tail) - 1].rstrip('_')}_{tail}{suffix}"


def quote_identifier(name: str) -> str:
    """Return the identifier as SQL takes it, whatever is in it.

    Raises:
        ValueError: It holds NUL or is longer than the 63 bytes that PostgreSQL would cut it to.
    """
    if "\0" in name or not 0 < len(name.encode()) <= 63:
        raise ValueError(f"no identifier of PostgreSQL: {name!r}")
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """Return the text as a literal, for statements that take no parameters (COMMENT ON).

    Raises:
        ValueError: It holds NUL.
    """
    if "\0" in text:
        raise ValueError("PostgreSQL has no text with NUL")
    doubled = text.replace("'", "''")
    # The E form means the same whatever standard_conforming_strings says.
    return " E'" + doubled.replace("\\", "\\\\") + "'" if "\\" in text else f"'{doubled}'"


def qualified(project: str, table: str) -> str:
    """Return `"project"."table"`."""
    return f"{quote_identifier(project)}.{quote_identifier(table)}"
