"""Every RPC of the contract, found in the generated modules: a new service is in the list without a word."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

import headrace.v1


@dataclass(frozen=True)
class Rpc:
    """One method of one service."""

    descriptor: MethodDescriptor

    @property
    def path(self) -> str:
        """Its name on the wire, `/package.Service/Method`."""
        return f"/{self.descriptor.containing_service.full_name}/{self.descriptor.name}"

    def request(self) -> Any:
        """An empty request."""
        return message_factory.GetMessageClass(self.descriptor.input_type)()


def services() -> Iterator[ServiceDescriptor]:
    """Yield the services of headrace.v1."""
    for module in pkgutil.iter_modules(headrace.v1.__path__):
        if module.name.endswith("_service_pb2"):
            yield from importlib.import_module(f"headrace.v1.{module.name}").DESCRIPTOR.services_by_name.values()


def rpcs() -> list[Rpc]:
    """Return every RPC, in order of their paths."""
    found = [Rpc(method) for service in services() for method in service.methods]
    return sorted(found, key=lambda rpc: rpc.path)
