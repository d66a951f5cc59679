"""A fake service for each test that asks, and clients that are closed after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

import headrace
from headrace import Settings
from headrace.testing import FakeService

QUICK = {"backoff_initial_s": 0.01, "backoff_max_s": 0.05}
"""Settings that make reconnects quick."""


@pytest.fixture
def service() -> Iterator[FakeService]:
    """A running fake service."""
    with FakeService() as running:
        yield running


@pytest.fixture
def connect(service: FakeService) -> Iterator[Callable[..., headrace.Client]]:
    """Return clients of the fake service; keywords are settings and callbacks."""
    clients: list[headrace.Client] = []

    def make(**options: Any) -> headrace.Client:
        callbacks = {name: options.pop(name) for name in ("on_result", "on_error", "on_drop") if name in options}
        address = options.pop("address", service.address)
        more = {name: options.pop(name) for name in ("project", "api_key", "tls") if name in options}
        clients.append(headrace.connect(address, settings=Settings(**(QUICK | options)), **callbacks, **more))
        return clients[-1]

    yield make
    service.release_acks()
    for client in clients:
        with suppress(headrace.UnackedError):  # what a test leaves unacked is its own matter
            client.close(timeout=2)


@pytest.fixture
def client(connect: Callable[..., headrace.Client]) -> headrace.Client:
    """A client of the fake service."""
    return connect()
