"""OpenTelemetry's logs: a record with the features as attributes, batched and exported over OTLP/gRPC."""

from __future__ import annotations

import time

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from benchmarks.log_calls.caller import Features
from benchmarks.processes import PeerProcess
from headrace import uuid7


class OtelLogs:
    """The SDK with its batching processor."""

    name = "OpenTelemetry logs"

    def __init__(self) -> None:
        self._sink = PeerProcess("benchmarks.log_calls.otlp_sink")
        self._provider = LoggerProvider(resource=Resource({"service.name": "bench"}))
        exporter = OTLPLogExporter(endpoint=self._sink.address, insecure=True)
        self._provider.add_log_record_processor(BatchLogRecordProcessor(exporter, max_queue_size=200_000))
        self._logger = self._provider.get_logger("bench")

    def call(self, features: Features) -> str:
        """Emit a record."""
        event_id = uuid7()
        self._logger.emit(
            LogRecord(
                timestamp=time.time_ns(),
                severity_number=SeverityNumber.INFO,
                body="inference",
                attributes={"event_id": event_id, **features},  # type: ignore[dict-item]  # floats and texts
            )
        )
        return event_id

    def settle(self) -> None:
        """Export what is there."""
        self._provider.force_flush(60_000)

    def close(self) -> None:
        """End the provider and the sink."""
        self._provider.shutdown()
        self._sink.end()
