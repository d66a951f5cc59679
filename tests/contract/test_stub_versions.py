"""The stubs and the client run on the oldest and the newest grpcio and protobuf that the metadata allows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.light_environment import LightEnvironment, light_requirements

ROUND_TRIP = """
import importlib.metadata as metadata
import grpc
import headrace
from google.protobuf import __version__ as protobuf_version
from google.protobuf.internal import api_implementation
from headrace.v1 import (
    batch_pb2, error_reason_pb2, ingest_service_pb2, ingest_service_pb2_grpc, model_pb2, model_service_pb2,
    model_service_pb2_grpc, result_pb2,
)
from headrace.testing import FakeService

with FakeService() as service, headrace.connect(service.address) as client:
    features = {"x": "float64", "text": "string"}
    schema = headrace.Schema(features=features, predictions={"score": "float64"}, labels={"late": "bool"})
    model = client.register(schema, name="m", version="v1")
    event_id = model.log({"x": 1.0}, prediction=0.5)
    client.flush(10)
    model.log_label(event_id, late=True)
    result = model.publish([{"x": float(n), "text": "é" * n, "late": bool(n % 2)} for n in range(300)])
    client.flush(10)
    assert (result.stored, result.labels.joined) == (300, 300), result
    assert len(service.ledger.events("m")) == 301
    try:
        client.get_model("nowhere")
    except headrace.ModelNotFoundError as error:
        assert error.metadata == {"model": "nowhere"}
print(grpc.__version__, protobuf_version, metadata.version("googleapis-common-protos"))
"""


@pytest.mark.parametrize("resolution", ["lowest-direct", "highest"])
def test_a_round_trip_on_the_versions_the_metadata_allows(wheel: Path, tmp_path: Path, resolution: str) -> None:
    environment = LightEnvironment(tmp_path / "venv", wheel, resolution)
    grpcio, protobuf, googleapis = environment.run(ROUND_TRIP, tests=True).split()
    if resolution == "lowest-direct":
        lowest = dict(re.findall(r"^([\w-]+)>=([\d.]+)", "\n".join(light_requirements()), re.MULTILINE))
        assert (grpcio, protobuf) == (lowest["grpcio"], lowest["protobuf"])
        assert googleapis.startswith(lowest["googleapis-common-protos"])
