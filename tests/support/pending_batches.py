"""Batches between validation and their commit, made without a stream."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa

from headrace.v1 import batch_pb2
from headrace_server.batching.batch import PendingBatch, Producer
from headrace_server.validation.rejections import Rejections


def pending(row_count: int = 0, **fields: Any) -> PendingBatch:
    """A batch of events; without a table it holds no good rows."""
    defaults: dict[str, Any] = {
        "origin": Producer("main", uuid4()),
        "epoch": 1,
        "seq": 1,
        "kind": batch_pb2.RECORD_KIND_EVENTS,
        "model": "flight_delay",
        "model_version": "",
        "target": None,
        "table": pa.table({}),
        "places": np.empty(0, dtype=np.int64),
        "row_count": row_count,
        "rejections": Rejections(row_count),
        "letters": [],
        "size_bytes": 0,
        "received_at": datetime.now(UTC),
    }
    return PendingBatch(**(defaults | fields))
