"""docs/settings.md, written from the settings themselves so that it cannot say anything else.

`python -m headrace_server.config.reference > docs/settings.md` renews it; a test fails while it is stale.
"""

import ast
import inspect
import sys
from itertools import pairwise
from typing import Any, Literal, get_args, get_origin

from pydantic import ByteSize
from pydantic_core import PydanticUndefined

from headrace_server.config import settings
from headrace_server.config.variables import GROUPS, VARIABLES, Variable

HEAD = """\
# Settings

<!-- Written by `python -m headrace_server.config.reference > docs/settings.md`; do not edit. -->

Every setting has a default; `headrace serve` needs none of them. They are read once, later ones first:

1. flags of `headrace serve` (`headrace serve --help`),
2. environment variables, `HEADRACE_` + group + `_` + name; an empty one counts as not set,
3. the file `headrace.toml` in the working directory, or the one that `--config` or `HEADRACE_CONFIG` names,
4. the defaults below.

```toml
# headrace.toml
[intake]
memory_budget_bytes = "256MiB"

[log]
format = "json"
```

A name that is not in this list is an error, in the file and in the environment, and so is a value that breaks a rule;
all faults are named at once. (`HEADRACE_ADDRESS`, `HEADRACE_API_KEY`, `HEADRACE_API_KEY_FILE` and `HEADRACE_CA_FILE`
are left alone: they belong to clients.) Sizes are bytes, or texts like `"4MiB"`. A secret can be given as a file that
holds it, under its variable's name with `_FILE`: `HEADRACE_DATABASE_URL_FILE=/run/secrets/database-url`.

`headrace serve --print-config` shows what is in force and what set it, secrets hidden.
"""


def markdown() -> str:
    """Return the page."""
    parts = [HEAD]
    said = documentation()
    for name, group in GROUPS.items():
        rows = [
            _row(variable, said[group.__name__, variable.field]) for variable in VARIABLES if variable.group == name
        ]
        parts.append(
            f"\n## {name}\n\n{group.__doc__}\n\n| name, variable | default | what it is |\n| --- | --- | --- |\n"
            + "".join(rows)
        )
    return "".join(parts)


def documentation() -> dict[tuple[str, str], str]:
    """Return what stands below each field, by class and field. Read here: pydantic would read it at each start."""
    classes = [node for node in ast.parse(inspect.getsource(settings)).body if isinstance(node, ast.ClassDef)]
    return {
        (each.name, field.target.id): inspect.cleandoc(text.value.value)
        for each in classes
        for field, text in pairwise(each.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _row(variable: Variable, said: str) -> str:
    names = "<br>".join(f"`{name}`" for name in (variable.field, *variable.names, *variable.file_names))
    text = " ".join(said.split())
    return f"| {names} | {_default(variable)} | {text}{_choices(variable.info.annotation)} |\n"


def _default(variable: Variable) -> str:
    extra = variable.info.json_schema_extra
    if isinstance(extra, dict) and "shown" in extra:
        return str(extra["shown"])
    value = variable.info.default
    assert value is not PydanticUndefined, f"{variable.key} has a default that depends on the machine: say it in words"  # noqa: S101
    if value is None:
        return ""
    if isinstance(value, ByteSize):
        return f"`{value.human_readable(separator=' ')}`".replace(".0 ", " ") if value else "`0`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _choices(annotation: Any) -> str:
    if get_origin(annotation) is not Literal:
        return ""
    return " One of " + ", ".join(f"`{choice}`" for choice in get_args(annotation)) + "."


if __name__ == "__main__":
    sys.stdout.write(markdown())
