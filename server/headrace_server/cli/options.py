"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

ConfigFile: TypeAlias = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="File of settings. Default: HEADRACE_CONFIG, else headrace.toml."),
]
DataDir: TypeAlias = Annotated[
    Path | None, typer.Option("--data-dir", metavar="FOLDER", help="Folder of the embedded database's data.")
]
Address: TypeAlias = Annotated[
    str, typer.Option("--address", envvar="HEADRACE_ADDRESS", help="Where the service listens: host:port.")
]
Project: TypeAlias = Annotated[str, typer.Option("--project", help="Project. Default: the credential's, or main.")]

DEFAULT_ADDRESS = "localhost:50051"
