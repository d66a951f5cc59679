"""Settings from defaults, `headrace.toml`, the environment and flags, later ones first.

Comes in: the three layers. Goes out: one valid `Settings` and where each value came from, or one `SettingsError` that
names every fault: what was set, under the name its author used, to what, and the rule. A name nobody knows is a fault
like any other: a misspelt limit that silently does nothing is worse than a service that does not start.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource

from headrace_server.config.contradictions import Contradiction
from headrace_server.config.settings import Settings
from headrace_server.config.variables import BY_KEY, CONFIG_FILE, OF_THE_CLIENT, PREFIX, VARIABLES, Variable

DEFAULT_FILE = Path("headrace.toml")
LONGEST_SHOWN = 80

Values = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        name: What its author wrote: a variable, a key of the file, a flag.
        value: What it was set to, as text; None when it is secret or beside the point.
        rule: What it must be.
    """

    name: str
    value: str | None
    rule: str

    def __str__(self) -> str:
        """One line for people."""
        return f"{self.name}{'' if self.value is None else f' = {self.value}'}: {self.rule}"


class SettingsError(Exception):
    """The settings cannot be used.

    Attributes:
        faults: All that is wrong.
    """

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        head = "a setting is wrong" if len(faults) == 1 else f"{len(faults)} settings are wrong"
        super().__init__("\n  ".join([f"{head}:", *map(str, faults)]))


@dataclass(frozen=True)
class Loaded:
    """The settings in force.

    Attributes:
        settings: The settings.
        origins: What set each key that is not at its default: a variable, a file, a flag.
    """

    settings: Settings
    origins: Mapping[str, str]


@dataclass
class _Layer:
    """One source of values, and the name that each was set under."""

    values: Values = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def put(self, variable: Variable, value: object, origin: str) -> None:
        self.values.setdefault(variable.group, {})[variable.field] = value
        self.origins[variable.key] = origin


def load(
    *,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Loaded:
    """Read every layer and return the settings in force.

    Args:
        flags: What the command line set, by dotted key: `{"listen.grpc_port": 0}`. None values are not set.
        environ: The environment; default this process's. An empty variable counts as not set, so that
            `HEADRACE_X=${X:-}` in a compose file does what it looks like.
        file: The file of settings. Default: what HEADRACE_CONFIG names, else `headrace.toml` in the working
            directory where there is one.

    Raises:
        SettingsError: With every fault that was found.
    """
    given = {name: value for name, value in (os.environ if environ is None else environ).items() if value}
    layers = [_from_flags(flags or {}), _from_environment(given), _from_file(file, given)]
    faults = [fault for layer in layers for fault in layer.faults]
    origins = {key: origin for layer in reversed(layers) for key, origin in layer.origins.items()}

    class Layered(Settings):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: PydanticBaseSettingsSource, **__: PydanticBaseSettingsSource
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return tuple(InitSettingsSource(settings_cls, dict(layer.values)) for layer in layers)

    try:
        settings = Settings(**dict(Layered()))
    except ValidationError as error:
        faults += [fault for detail in error.errors(include_url=False) for fault in _explain(detail, origins)]
    if faults:
        raise SettingsError(faults)
    return Loaded(settings, origins)


def _from_flags(flags: Mapping[str, object]) -> _Layer:
    layer = _Layer()
    for key, value in flags.items():
        if value is not None:
            layer.put(BY_KEY[key], value, f"flag for {key}")
    return layer


def _from_environment(environ: Mapping[str, str]) -> _Layer:
    layer = _Layer()
    unknown = {name for name in environ if name.startswith(PREFIX)} - OF_THE_CLIENT - {CONFIG_FILE}
    for variable in VARIABLES:
        names = [name for name in (*variable.names, *variable.file_names) if name in environ]
        unknown.difference_update(names)
        if len(names) > 1:
            layer.faults.append(Fault(" and ".join(names), None, f"both set {variable.key}: leave one of them out"))
        for name in names[:1]:
            value: str | None = environ[name]
            if name in variable.file_names:
                value = _secret_in(Path(environ[name]), name, layer.faults)
            if value is not None:
                layer.put(variable, value, name)
    known = [name for variable in VARIABLES for name in (*variable.names, *variable.file_names)]
    # The value stays unsaid: the misspelt name may be that of a secret.
    layer.faults += [Fault(name, None, _no_such(name, known)) for name in sorted(unknown)]
    return layer


def _secret_in(path: Path, name: str, faults: list[Fault]) -> str | None:
    try:
        secret = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        faults.append(Fault(name, str(path), f"cannot be read ({error})"))
        return None
    if not secret:
        faults.append(Fault(name, str(path), "the file is empty"))
    return secret or None


def _from_file(file: Path | None, environ: Mapping[str, str]) -> _Layer:
    layer = _Layer()
    if file is None and CONFIG_FILE in environ:
        file = Path(environ[CONFIG_FILE])
    if file is None:
        if not DEFAULT_FILE.is_file():
            return layer
        file = DEFAULT_FILE
    try:
        with file.open("rb") as opened:
            content = tomllib.load(opened)
    except (OSError, ValueError) as error:
        layer.faults.append(Fault(str(file), None, f"cannot be read: {error}"))
        return layer
    for key, value in _leaves(content):
        if key in BY_KEY:
            layer.put(BY_KEY[key], value, str(file))
        else:
            layer.faults.append(Fault(f"{key} in {file}", None, _no_such(key, list(BY_KEY))))
    return layer


def _leaves(content: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for name, value in content.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", it) for inner, it in value.items())
        else:
            yield name, value


def _no_such(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1, cutoff=0.75)
    return "there is no such setting" + (f"; did you mean {close[0]}?" if close else "")


def _explain(detail: ErrorDetails, origins: Mapping[str, str]) -> Iterator[Fault]:
    """One pydantic error in the words of whoever set the value."""
    if detail["type"] == "contradictions":
        found: list[Contradiction] = detail["ctx"]["found"]
        for each in found:
            yield Fault(_name(each.key, origins), _shown(each.key, each.value), each.rule)
        return
    key = ".".join(str(part) for part in detail["loc"][:2])
    rule = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    yield Fault(_name(key, origins), _shown(key, detail["input"]), rule)


def _name(key: str, origins: Mapping[str, str]) -> str:
    origin = origins.get(key)
    if origin is None or origin.startswith("flag"):
        return key
    return origin if origin.startswith(PREFIX) else f"{key} in {origin}"


def _shown(key: str, value: object) -> str | None:
    if BY_KEY[key].secret:
        return None
    text = repr(str(value)) if isinstance(value, str | Path) else str(value)
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"
