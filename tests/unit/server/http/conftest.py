"""The door on a real socket; behind it a Publish that does what the test says, and a registry of three models."""

import asyncio
import http.client
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from headrace.v1 import batch_pb2, ingest_service_pb2
from headrace_server.access.gate import Gate
from headrace_server.config import Http
from headrace_server.http.events import Events
from headrace_server.http.models import Models
from headrace_server.http.operations import Operations
from headrace_server.http.publishing import Publishing
from headrace_server.http.routes import http_app
from headrace_server.http.server import HttpServer
from headrace_server.models.column_types import ValueType
from headrace_server.models.schema import EventIdType, Identity, ModelSchema, UnknownColumns
from headrace_server.ops.metrics import Metrics
from headrace_server.queries.columns import LateTable, ReadColumn
from headrace_server.queries.parts import Part
from headrace_server.queries.reader import EventsById

MAX_BATCH_BYTES = 10_000


class Publish:
    """Records what it is asked and answers what it is told."""

    def __init__(self):
        self.asked = []
        self.result = {"rows": 1, "stored": 1}
        self.error = None
        self.held = None

    async def __call__(self, request):
        self.asked.append(request)
        if self.held is not None:
            await self.held.wait()
        if self.error is not None:
            raise self.error
        return ingest_service_pb2.PublishResponse(result=self.result)


def schema(name, project="main"):
    return ModelSchema(
        project=project,
        name=name,
        sql_name=name.lower(),
        columns=(),
        identity=Identity.UNIQUE,
        event_id_type=EventIdType.TEXT,
        unknown_columns=UnknownColumns.REJECT,
        versions=("v1",),
        earliest_event_time=datetime(1990, 1, 1, tzinfo=UTC),
        latest_ahead=timedelta(days=1),
        chunk_interval=timedelta(days=7),
        retention=None,
        revision=3,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        updated_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


class Registry:
    def __init__(self):
        self.models = [schema("Churn"), schema("flight_delay"), schema("fraud", project="bank")]
        self.error = None

    async def get(self, project, name):
        if self.error:
            raise self.error
        return next((model for model in self.models if (model.project, model.name) == (project, name)), None)

    async def list(self, project, after="", limit=100):
        return [model for model in self.models if model.project == project and model.sql_name > after][:limit]


COLUMNS = (
    ReadColumn("event_id", "", "event_id", ValueType.STRING),
    ReadColumn("score", "", "score", ValueType.FLOAT64),
    ReadColumn("metadata", "", "metadata", ValueType.JSON),
)


class Reader:
    """Reads the same two events whatever it is asked, and remembers what it was."""

    def __init__(self):
        self.asked = []
        self.error = None
        self.parts = [Part.of(COLUMNS, [("a", 0.5, '{"k": [1]}')]), Part.of(COLUMNS, [("b", float("nan"), None)])]

    async def by_id(self, schema, wanted):
        self.asked.append(wanted)
        if self.error:
            raise self.error
        waiting = LateTable(batch_pb2.RECORD_KIND_LABELS, True, "", "", COLUMNS)
        return EventsById(self.parts[0], [(waiting, self.parts[1])])

    async def events(self, schema, query):
        self.asked.append(query)
        if self.error:
            raise self.error
        for part in self.parts:
            yield part


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


class Door:
    def __init__(self, settings):
        self.publish, self.registry, self.reader = Publish(), Registry(), Reader()
        self.metrics = Metrics(version="1.2.3", instance="test")
        self.ready = True
        app = http_app(
            Publishing(self.publish, settings, MAX_BATCH_BYTES),
            Models(self.registry),
            Events(self.registry, self.reader),
            Operations(self.metrics, lambda: self.ready, "1.2.3", "127.0.0.1:50051"),
            metrics=self.metrics,
            gate=Gate(None),
        )
        self.server = HttpServer(app, host="127.0.0.1", port=0, max_connections=settings.max_connections, grace_s=30)
        self.address = self.server.bind()

    async def request(self, method, path, body=None, **headers) -> Answer:
        def ask():
            connection = http.client.HTTPConnection(self.address, timeout=20)
            try:
                connection.request(method, path, body, {name.replace("_", "-"): it for name, it in headers.items()})
                response = connection.getresponse()
                return Answer(response.status, response.headers, response.read())
            finally:
                connection.close()

        return await asyncio.to_thread(ask)

    async def get(self, path, **headers):
        return await self.request("GET", path, **headers)

    async def post(self, path, body=b"[{}]", **headers):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        return await self.request("POST", path, body, **{"Content_Type": "application/json", **headers})

    def counted(self, route, code):
        return self.metrics.registry.get_sample_value("headrace_http_requests_total", {"route": route, "code": code})


@pytest.fixture
def settings():
    """Bounds of the door; a test module may have its own."""
    return Http()


@pytest.fixture
async def door(settings):
    door = Door(settings)
    async with asyncio.TaskGroup() as group:
        group.create_task(door.server.run())
        yield door
        door.server.stop()
