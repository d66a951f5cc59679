"""A client that speaks the bare protocol, message by message: what the SDK hides, and what it would never do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import grpc
import orjson
from google.rpc import error_details_pb2, status_pb2

from headrace.v1 import batch_pb2, model_pb2, model_service_pb2
from headrace.v1 import ingest_service_pb2 as pb
from headrace.v1.ingest_service_pb2_grpc import IngestServiceStub
from headrace.v1.model_service_pb2_grpc import ModelServiceStub

CALL_S = 20.0


class WireStream:
    """One Ingest stream."""

    def __init__(self, call: "grpc.aio.StreamStreamCall[Any, Any]") -> None:
        self.call = call

    async def send(self, request: pb.IngestRequest) -> None:
        """Send a message."""
        await self.call.write(request)

    async def open(self, producer_id: str | None = None, **fields: Any) -> pb.Opened:
        """Open the session."""
        producer_id = producer_id or str(uuid4())
        await self.send(pb.IngestRequest(open=pb.Open(producer_id=producer_id, **fields)))
        return (await self.read()).opened

    async def batch(self, batch: batch_pb2.Batch) -> None:
        """Send a batch."""
        await self.send(pb.IngestRequest(batch=batch))

    async def read(self) -> pb.IngestResponse:
        """Read a message that is no heartbeat; the stream's end is an error of the test."""
        while (message := await self.heartbeat()).HasField("credit"):
            pass
        return message

    async def heartbeat(self) -> pb.IngestResponse:
        """Read a message, be it a heartbeat."""
        message = await self.call.read()
        if message is grpc.aio.EOF:
            raise AssertionError(f"the stream ended: {await self.call.code()} {await self.call.details()}")
        return message

    async def ack(self) -> pb.Ack:
        """Read up to the next ack."""
        while True:
            message = await self.read()
            if message.WhichOneof("message") == "ack":
                return message.ack

    async def settle(self, batch: batch_pb2.Batch) -> Any:
        """Send a batch and read the result it is acked with; None where all rows were stored."""
        await self.batch(batch)
        ack = await self.ack()
        assert ack.through_seq == batch.seq
        return ack.results[0] if ack.results else None

    async def end(self) -> tuple[grpc.StatusCode, str, status_pb2.Status]:
        """Read to the stream's end; returns its code, its reason and the rich status."""
        try:
            while await self.call.read() is not grpc.aio.EOF:
                pass
        except grpc.aio.AioRpcError:
            pass
        return await self.call.code(), *told(await self.call.trailing_metadata())


def told(metadata: Any) -> tuple[str, status_pb2.Status]:
    """The reason and the rich status of a call's trailing metadata."""
    status = status_pb2.Status()
    for key, value in metadata or ():
        if key == "grpc-status-details-bin":
            status.ParseFromString(value)
    info = error_details_pb2.ErrorInfo()
    for detail in status.details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            detail.Unpack(info)
    return info.reason, status


def is_retryable(status: status_pb2.Status) -> bool:
    """Whether the status carries RetryInfo."""
    return any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in status.details)


class WireClient:
    """A channel to the service and its stubs."""

    def __init__(self, channel: grpc.aio.Channel, api_key: str = "") -> None:
        self.channel = channel
        self.metadata = (("authorization", f"Bearer {api_key}"),) if api_key else ()
        self.ingest = IngestServiceStub(channel)
        self.models = ModelServiceStub(channel)

    def stream(self, timeout_s: float = CALL_S) -> WireStream:
        """Begin a stream."""
        return WireStream(self.ingest.Ingest(timeout=timeout_s, metadata=self.metadata))

    async def publish(self, batch: batch_pb2.Batch, request_id: str | None = None, project: str = "") -> Any:
        """Publish a batch; returns its result."""
        request = pb.PublishRequest(request_id=request_id or str(uuid4()), project=project, batch=batch)
        return (await self.ingest.Publish(request, timeout=CALL_S, metadata=self.metadata)).result

    async def register(self, name: str = "flight_delay", **fields: Any) -> model_pb2.Model:
        """Register a model; by default one with a column of most types."""
        model = model_pb2.Model(name=name, **({"columns": COLUMNS} | fields))
        request = model_service_pb2.RegisterModelRequest(model=model)
        return (await self.models.RegisterModel(request, timeout=CALL_S, metadata=self.metadata)).model


@asynccontextmanager
async def wire_client(address: str, api_key: str = "") -> AsyncIterator[WireClient]:
    """Connect to the service."""
    # A connection of its own, as clients in other processes have: else all channels of the test share one.
    options = [
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        yield WireClient(channel, api_key)


def column(
    name: str, value_type: str, kind: str = "FEATURE", dimension: int = 0, role: str = "UNSPECIFIED"
) -> model_pb2.ModelColumn:
    """A column of a model, its enums by their short names."""
    return model_pb2.ModelColumn(
        name=name,
        kind=model_pb2.ColumnKind.Value(f"COLUMN_KIND_{kind}"),
        type=model_pb2.ValueType.Value(f"VALUE_TYPE_{value_type}"),
        dimension=dimension,
        role=model_pb2.ColumnRole.Value(f"COLUMN_ROLE_{role}"),
    )


COLUMNS = (
    column("dep_delay", "FLOAT64"),
    column("distance", "INT64"),
    column("carrier", "CATEGORY"),
    column("note", "STRING"),
    column("diverted", "BOOL"),
    column("booked_at", "TIMESTAMP"),
    column("embedding", "VECTOR", dimension=3),
    column("stops", "STRING_LIST"),
    column("raw", "JSON"),
    column("score", "FLOAT64", "PREDICTION"),
    column("arr_delay", "FLOAT64", "LABEL"),
    column("late", "BOOL", "LABEL"),
)


def json_batch(
    rows: list[dict[str, Any]] | bytes,
    seq: int = 0,
    model: str = "flight_delay",
    kind: str = "EVENTS",
    version: str = "",
) -> batch_pb2.Batch:
    """A batch in the JSON form."""
    return batch_pb2.Batch(
        seq=seq,
        kind=batch_pb2.RecordKind.Value(f"RECORD_KIND_{kind}"),
        model=model,
        model_version=version,
        json=batch_pb2.JsonRows(rows=rows if isinstance(rows, bytes) else orjson.dumps(rows)),
    )


def events(count: int, first: int = 0, **cells: Any) -> list[dict[str, Any]]:
    """Events e<first> …, a second apart, on 1 January 2013."""
    return [
        {"event_id": f"e{number}", "event_time": 1_356_998_400 + number, "dep_delay": number / 2, **cells}
        for number in range(first, first + count)
    ]


def rows_of(ranges: Any) -> list[int]:
    """Row indexes of RowRanges."""
    runs = zip(ranges.starts, ranges.lengths, strict=True)
    return [row for start, length in runs for row in range(start, start + length)]
