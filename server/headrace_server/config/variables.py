"""The environment variable of every setting.

`HEADRACE_` + group + `_` + field: `database.url` is HEADRACE_DATABASE_URL. Those that are typed often have a short
name as well. A secret may also be given as the name of a file that holds it: HEADRACE_DATABASE_URL_FILE, as container
platforms mount them.
"""

from dataclasses import dataclass
from typing import get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from headrace_server.config.settings import Settings

PREFIX = "HEADRACE_"
FILE_SUFFIX = "_FILE"

SHORT_NAMES = {
    "listen.insecure": "HEADRACE_INSECURE",
    "database.data_dir": "HEADRACE_DATA_DIR",
    "intake.workers": "HEADRACE_WORKERS",
}

# Names under our prefix that are no settings of the service.
CONFIG_FILE = "HEADRACE_CONFIG"
OF_THE_CLIENT = frozenset({"HEADRACE_ADDRESS", "HEADRACE_API_KEY", "HEADRACE_API_KEY_FILE", "HEADRACE_CA_FILE"})


@dataclass(frozen=True)
class Variable:
    """A setting and its names.

    Attributes:
        group: Its group.
        field: Its name in the group.
        info: Type, default and documentation.
        names: Environment variables that set it.
        secret: True when it is never shown.
    """

    group: str
    field: str
    info: FieldInfo
    names: tuple[str, ...]
    secret: bool

    @property
    def key(self) -> str:
        """Its dotted name, as in the file."""
        return f"{self.group}.{self.field}"

    @property
    def file_names(self) -> tuple[str, ...]:
        """Environment variables that name a file with its value."""
        return tuple(name + FILE_SUFFIX for name in self.names) if self.secret else ()


def _variable(group: str, field: str, info: FieldInfo) -> Variable:
    names = [f"{PREFIX}{group}_{field}".upper()]
    if short := SHORT_NAMES.get(f"{group}.{field}"):
        names.append(short)
    secret = info.annotation is SecretStr or SecretStr in get_args(info.annotation)
    return Variable(group, field, info, tuple(names), secret)


def _groups() -> dict[str, type[BaseModel]]:
    groups = {}
    for name, info in Settings.model_fields.items():
        kind = info.annotation
        # Variables have two levels, so every setting is a plain value in a group.
        assert isinstance(kind, type) and issubclass(kind, BaseModel), name  # noqa: S101, PT018
        groups[name] = kind
    return groups


GROUPS = _groups()
VARIABLES = tuple(
    _variable(group, field, info) for group, kind in GROUPS.items() for field, info in kind.model_fields.items()
)
BY_KEY = {variable.key: variable for variable in VARIABLES}
