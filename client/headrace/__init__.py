"""headrace: stream inference events and their labels, and know what became of every row.

client = headrace.connect("localhost:50051")
model = client.model("flight_delay", version="v1")
event_id = model.log(features={"distance": 1400.0}, prediction=0.83)
model.log_label(event_id, late=True)
client.close()
"""

import os as _os
from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

# Read by gRPC when it is first imported: without it, a process that has used gRPC cannot use it again after a fork.
_os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "1")

from headrace.channel import Tls
from headrace.client import Client, connect
from headrace.content_id import content_id
from headrace.deadline import Deadline
from headrace.errors import (
    BufferFullError,
    ClosedError,
    EventNotFoundError,
    FencedError,
    FlushTimeout,
    HeadraceError,
    InvalidArgumentError,
    JobFailedError,
    JobTimeout,
    ModelNotFoundError,
    PublishTimeout,
    ServiceError,
    SessionFailedError,
    UnackedError,
)
from headrace.ids import composite_id, uuid7
from headrace.media import Media
from headrace.model import Model
from headrace.quarantine import QuarantinedBatch
from headrace.results import BatchOutcome, PublishResult, RowError, Stats
from headrace.settings import Overflow, Settings
from headrace.version import __version__

# What only readers, operators and whoever registers models use is imported when it is first named: a model server
# starts without it.
if _TYPE_CHECKING:
    from headrace.datasets import Dataset
    from headrace.dead_letters import DeadLetter, DeadLetterRefusal, DeadLetters, LetterFilter, ReplayResult
    from headrace.delivery import ProducerDelivery, SeqGap
    from headrace.events import Event, Events
    from headrace.jobs import Job, JobState
    from headrace.schema import Column, ColumnKind, EventIdType, Identity, ModelInfo, Schema, UnknownColumns, ValueType
    from headrace.statistics import ModelStatistics, RowCount, TableStatistics
    from headrace.tasks import ColumnRole, TaskType

_HOMES = {
    **dict.fromkeys(("Dataset",), "headrace.datasets"),
    **dict.fromkeys(
        (
            "DeadLetter",
            "DeadLetterRefusal",
            "DeadLetters",
            "LetterFilter",
            "ReplayResult",
        ),
        "headrace.dead_letters",
    ),
    **dict.fromkeys(
        (
            "ProducerDelivery",
            "SeqGap",
        ),
        "headrace.delivery",
    ),
    **dict.fromkeys(
        (
            "Event",
            "Events",
        ),
        "headrace.events",
    ),
    **dict.fromkeys(
        (
            "Job",
            "JobState",
        ),
        "headrace.jobs",
    ),
    **dict.fromkeys(
        (
            "ModelStatistics",
            "RowCount",
            "TableStatistics",
        ),
        "headrace.statistics",
    ),
    **dict.fromkeys(
        ("Column", "ColumnKind", "EventIdType", "Identity", "ModelInfo", "Schema", "UnknownColumns", "ValueType"),
        "headrace.schema",
    ),
    **dict.fromkeys(("ColumnRole", "TaskType"), "headrace.tasks"),
}

__all__ = [
    "BatchOutcome",
    "BufferFullError",
    "Client",
    "ClosedError",
    "Column",
    "ColumnKind",
    "ColumnRole",
    "Dataset",
    "DeadLetter",
    "DeadLetterRefusal",
    "DeadLetters",
    "Deadline",
    "Event",
    "EventIdType",
    "EventNotFoundError",
    "Events",
    "FencedError",
    "FlushTimeout",
    "HeadraceError",
    "Identity",
    "InvalidArgumentError",
    "Job",
    "JobFailedError",
    "JobState",
    "JobTimeout",
    "LetterFilter",
    "Media",
    "Model",
    "ModelInfo",
    "ModelNotFoundError",
    "ModelStatistics",
    "Overflow",
    "ProducerDelivery",
    "PublishResult",
    "PublishTimeout",
    "QuarantinedBatch",
    "ReplayResult",
    "RowCount",
    "RowError",
    "Schema",
    "SeqGap",
    "ServiceError",
    "SessionFailedError",
    "Settings",
    "Stats",
    "TableStatistics",
    "TaskType",
    "Tls",
    "UnackedError",
    "UnknownColumns",
    "ValueType",
    "__version__",
    "composite_id",
    "connect",
    "content_id",
    "uuid7",
]


def __getattr__(name: str) -> object:
    """Import a name from where it lives."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(_import_module(_HOMES[name]), name)
    globals()[name] = found
    return found
