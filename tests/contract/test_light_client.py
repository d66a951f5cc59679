"""`pip install headrace` is light: three dependencies, a quick import, and every name there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.light_environment import LightEnvironment

ALLOWED = {"google", "grpc", "headrace", "typing_extensions"}
BUDGET_MS = 150.0


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> LightEnvironment:
    return LightEnvironment(tmp_path_factory.mktemp("light") / "venv", wheel, "highest")


def test_importing_the_client_imports_nothing_but_its_three_dependencies(environment: LightEnvironment) -> None:
    imported = environment.run(
        """
import json, sys, sysconfig
import headrace, headrace.aio
site = sysconfig.get_paths()["purelib"]
places = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
files = {name.partition(".")[0] for name, place in places.items() if place.startswith(site)}
print(json.dumps(sorted(name for name in files if not name.startswith("_"))))
"""
    )
    assert set(json.loads(imported)) <= ALLOWED


def test_every_module_but_the_frames_and_the_pytest_fixture_can_be_imported(environment: LightEnvironment) -> None:
    environment.run(
        """
import importlib, pkgutil, headrace
needs_more = {
    "encoding.arrow_columns", "reading.arrow", "sources.files", "sources.frames", "testing.pytest_plugin"
}
for module in pkgutil.walk_packages(headrace.__path__, "headrace."):
    if module.name.removeprefix("headrace.") not in needs_more:
        importlib.import_module(module.name)
"""
    )


def test_the_import_costs_little_beyond_that_of_grpc(environment: LightEnvironment) -> None:
    script = """
import time
import grpc, grpc._channel  # which grpc itself imports with the first channel
begin = time.process_time()  # of this process alone, however busy the machine is
import headrace
print((time.process_time() - begin) * 1e3)
"""
    environment.run(script)  # writes the bytecode, as an installer would
    best = min(float(environment.run(script)) for _ in range(5))
    assert best < BUDGET_MS


def test_events_and_labels_arrive_with_the_light_client(environment: LightEnvironment) -> None:
    environment.run(
        """
import headrace
from headrace.testing import FakeService
with FakeService() as service, headrace.connect(service.address) as client:
    model = client.model("m")
    event_id = model.log({"x": 1.0, "tags": ["a"], "embedding": [0.5, 1.0]}, prediction=0.5)
    client.flush(10)
    model.log_label(event_id, late=True)
    assert model.publish([{"x": 2.0}, {"x": "two"}]).stored == 2
    client.flush(10)
    assert client.stats().stored == 4, client.stats()
""",
        tests=True,
    )


def test_what_needs_pyarrow_says_how_to_get_it(environment: LightEnvironment) -> None:
    said = environment.run(
        """
import headrace
from headrace.testing import FakeService
with FakeService() as service, headrace.connect(service.address) as client:
    try:
        client.model("m").publish("rows.parquet")
    except headrace.InvalidArgumentError as error:
        print(error)
""",
        tests=True,
    )
    assert "pip install 'headrace[frames]'" in said
