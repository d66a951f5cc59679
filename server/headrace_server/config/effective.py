"""The settings in force as text: a `headrace.toml` that would make them again, with what set each.

Secrets are shown as what may be known of them. Printed by `headrace serve --print-config`.
"""

import json
from pathlib import Path

from headrace_server.config.loading import Loaded
from headrace_server.config.variables import GROUPS, VARIABLES, Variable

HIDDEN = "hidden"


def as_toml(loaded: Loaded) -> str:
    """Return every setting, group by group, with its origin as a comment where it is not the default."""
    blocks = []
    for group in GROUPS:
        lines = [_line(variable, loaded) for variable in VARIABLES if variable.group == group]
        blocks.append("\n".join([f"[{group}]", *lines]))
    return "\n\n".join(blocks) + "\n"


def _line(variable: Variable, loaded: Loaded) -> str:
    value = getattr(getattr(loaded.settings, variable.group), variable.field)
    origin = loaded.origins.get(variable.key)
    comment = f"  # {origin}" if origin else ""
    if value is None:
        return f"# {variable.field} is not set"
    if variable.secret:
        known = loaded.settings.database.place if variable.key == "database.url" else HIDDEN
        return f"# {variable.field} = {json.dumps(known)}{comment}"
    return f"{variable.field} = {_literal(value)}{comment}"


def _literal(value: object) -> str:
    """TOML's literals are JSON's, for the plain values that settings are."""
    return json.dumps(str(value) if isinstance(value, Path) else value)
