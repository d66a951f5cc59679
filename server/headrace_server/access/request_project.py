"""Holds what a request says of its project against the credential, before the request reaches its handler.

Every request names its project in a field `project`, its own or that of a message in it (`model.project`). With a
credential each such field is checked, and filled where it is empty; so handlers read `request.project`, and what they
read is the tenant. A test finds requests that have none (tests/unit/server/access/test_rules.py).
"""

from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from headrace_server.access.caller import Caller

FIELD = "project"
DEEPEST = 3

Path = tuple[FieldDescriptor, ...]


def settle_project(request: Message, caller: Caller) -> None:
    """Check the projects that a request names, and fill in those it leaves out.

    Raises:
        ProjectDeniedError: It names one that is not the caller's.
    """
    if not caller.project:
        return
    for path in project_paths(request.DESCRIPTOR):
        for holder in _holders(request, path[:-1]):
            setattr(holder, FIELD, caller.project_for(getattr(holder, FIELD)))


@cache
def project_paths(message: Descriptor, depth: int = DEEPEST) -> tuple[Path, ...]:
    """Return the ways from a message to the fields that name a project, in it and in the messages it holds."""
    paths: list[Path] = []
    for field in message.fields:
        if field.name == FIELD and field.type == FieldDescriptor.TYPE_STRING:
            paths.append((field,))
        elif field.message_type is not None and not field.message_type.GetOptions().map_entry and depth > 1:
            paths += [(field, *rest) for rest in project_paths(field.message_type, depth - 1)]
    return tuple(paths)


def _holders(message: Any, path: Path) -> list[Any]:
    # A message that is absent is made, or its handler would take its default; of a oneof or a list only what is there
    # is meant.
    if not path:
        return [message]
    field, rest = path[0], path[1:]
    held = getattr(message, field.name)
    if field.is_repeated:
        return [holder for each in held for holder in _holders(each, rest)]
    if field.containing_oneof is not None and not message.HasField(field.name):
        return []
    return _holders(held, rest)
