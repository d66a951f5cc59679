"""Rows by unary calls: each is repeated under its request_id until it is answered, as one does without a stream."""

from __future__ import annotations

import itertools
import json
import threading
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from random import Random

import grpc

from chaos.oracle import OracleWriter
from chaos.rows import UNARY, Event
from headrace.connecting.retry import service_error
from headrace.v1 import batch_pb2, ingest_service_pb2, result_pb2
from headrace.v1.ingest_service_pb2_grpc import IngestServiceStub

MOST_ROWS = 20
PAUSE_S = 0.2
AGAIN_S = 0.2
CALL_S = 5.0


class UnaryCaller:
    """Calls one after the other, on a thread of the producer's."""

    def __init__(self, addresses: str, oracle: OracleWriter, name: str, seed: str) -> None:
        self._addresses = itertools.cycle(addresses.split(","))
        self._oracle = oracle
        self._name = f"{name}-unary"
        self._random = Random(f"{seed} unary")
        self._number = 0

    def run(self, stop: threading.Event) -> None:
        """Call until told to stop; the last call is seen through."""
        while not stop.wait(PAUSE_S):
            first, self._number = self._number, self._number + self._random.randrange(1, MOST_ROWS)
            self._publish([Event.made(self._name, number, self._random) for number in range(first, self._number)])

    def _publish(self, events: Sequence[Event]) -> None:
        rows = [asdict(event) for event in events]
        for row in rows:
            row["event_time"] = row.pop("micros") / 1e6
        request = ingest_service_pb2.PublishRequest(
            request_id=str(uuid.uuid4()),
            batch=batch_pb2.Batch(
                kind=batch_pb2.RECORD_KIND_EVENTS, model=UNARY, json=batch_pb2.JsonRows(rows=json.dumps(rows).encode())
            ),
        )
        self._oracle.intends(UNARY, [(event.event_id, event.fingerprint) for event in events])
        result = self._answer(request)
        if result.stored != len(events):
            self._oracle.complains(f"called with {len(events)} rows, told {result}")
        self._oracle.acked(UNARY, [event.event_id for event in events])

    def _answer(self, request: ingest_service_pb2.PublishRequest) -> result_pb2.BatchResult:
        while True:
            with grpc.insecure_channel(next(self._addresses)) as channel:
                try:
                    return IngestServiceStub(channel).Publish(request, timeout=CALL_S).result
                except grpc.RpcError as error:
                    told = service_error(error)
                    if not told.retryable:
                        self._oracle.complains(f"a call was refused: {told!r}")
                        raise
            threading.Event().wait(AGAIN_S)
