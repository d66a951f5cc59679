"""A page of docs/ whose code is run as it stands, from top to bottom, against a service.

Blocks marked ```python, ```sql and ```sh are the page's own; what another product's code looks like stands in blocks
marked ```python theirs (or sh theirs) and is left alone. The page's addresses are replaced by the service's.
"""

from __future__ import annotations

import json
import re
import shlex
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from support.service import ServiceProcess

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^```(python|sql|sh)\n(.*?)^```", re.DOTALL | re.MULTILINE)

Query = Callable[[str], list[asyncpg.Record]]


@dataclass
class DocumentationPage:
    """A page that has been run.

    Attributes:
        names: What its Python blocks have defined.
        rows: What each of its SQL statements returned, in order.
        answers: What each of its curl calls was answered, in order.
        commands: Its other commands, in order, with what they need filled in by whoever runs them.
    """

    text: str
    names: dict[str, Any] = field(default_factory=dict)
    rows: list[list[asyncpg.Record]] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)


def point(name: str) -> pytest.MarkDecorator:
    """Mark a test as the one of a row of "Point by point"."""
    return pytest.mark.point(name)


def run_page(name: str, service: ServiceProcess, query: Query, folder: Path) -> DocumentationPage:
    """Run every block of a page, in order.

    Args:
        name: Below docs/.
        service: What its clients speak to.
        query: What its SQL is asked of.
        folder: Where files are that it reads and writes: `FOLDER` in its code.
    """
    page = DocumentationPage((DOCS / name).read_text())
    page.names["FOLDER"] = folder
    for language, block in _BLOCK.findall(page.text):
        code = block.replace("localhost:50051", service.grpc).replace("localhost:8080", service.http)
        if language == "python":
            exec(compile(code, name, "exec"), page.names)
        elif language == "sql":
            page.rows += [query(statement) for statement in filter(None, map(str.strip, code.split(";")))]
        elif code.startswith("curl "):
            page.answers.append(post(code))
        else:
            page.commands.append(code)
    return page


def post(command: str) -> dict[str, Any]:
    """Do what a curl command does, without curl."""
    words = shlex.split(command.replace("\\\n", " "))[1:]
    headers, body, url = {}, "", ""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "-H":
            key, _, value = following.partition(": ")
            headers[key] = value
        elif word == "-d":
            body = following
        elif word.startswith("http"):
            url = word
    request = urllib.request.Request(url, body.encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        told: dict[str, Any] = json.load(answer)
        return told
