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

from headrace.client import Client, connect
from headrace.connecting.channel import Tls
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
from headrace.handles.model import Model
from headrace.ids import composite_id, uuid7
from headrace.media import Media
from headrace.results import BatchOutcome, PublishResult, RowError, Stats
from headrace.sending.quarantine import QuarantinedBatch
from headrace.settings import Durability, Overflow, Settings
from headrace.version import __version__

# What only readers, operators and whoever registers models use is imported when it is first named: a model server
# starts without it.
if _TYPE_CHECKING:
    from headrace.publishing.datasets import Dataset
    from headrace.reading.events import Event, Events
    from headrace.reading.statistics import ModelStatistics, RowCount, TableStatistics
    from headrace.schemas.column import Column, ColumnKind, ValueType
    from headrace.schemas.model_info import EventIdType, Identity, ModelInfo, UnknownColumns
    from headrace.schemas.schema import Schema
    from headrace.schemas.tasks import ColumnRole, TaskType
    from headrace.services.dead_letters import DeadLetter, DeadLetterRefusal, DeadLetters, LetterFilter, ReplayResult
    from headrace.services.delivery import ProducerDelivery, SeqGap
    from headrace.services.jobs import Job, JobState

_HOMES = {
    **dict.fromkeys(("Dataset",), "headrace.publishing.datasets"),
    **dict.fromkeys(
        (
            "DeadLetter",
            "DeadLetterRefusal",
            "DeadLetters",
            "LetterFilter",
            "ReplayResult",
        ),
        "headrace.services.dead_letters",
    ),
    **dict.fromkeys(
        (
            "ProducerDelivery",
            "SeqGap",
        ),
        "headrace.services.delivery",
    ),
    **dict.fromkeys(
        (
            "Event",
            "Events",
        ),
        "headrace.reading.events",
    ),
    **dict.fromkeys(
        (
            "Job",
            "JobState",
        ),
        "headrace.services.jobs",
    ),
    **dict.fromkeys(
        (
            "ModelStatistics",
            "RowCount",
            "TableStatistics",
        ),
        "headrace.reading.statistics",
    ),
    **dict.fromkeys(("Column", "ColumnKind", "ValueType"), "headrace.schemas.column"),
    **dict.fromkeys(("EventIdType", "Identity", "ModelInfo", "UnknownColumns"), "headrace.schemas.model_info"),
    **dict.fromkeys(("Schema",), "headrace.schemas.schema"),
    **dict.fromkeys(("ColumnRole", "TaskType"), "headrace.schemas.tasks"),
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
    "Durability",
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
