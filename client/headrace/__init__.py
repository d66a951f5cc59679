"""headrace: stream inference events and their labels, and know what became of every row.

client = headrace.connect("localhost:50051")
model = client.model("flight_delay", version="v1")
event_id = model.log(features={"distance": 1400.0}, prediction=0.83)
model.log_label(event_id, late=True)
client.close()
"""

import os as _os

# Read by gRPC when it is first imported: without it, a process that has used gRPC cannot use it again after a fork.
_os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "1")

from headrace.channel import Tls
from headrace.client import Client, connect
from headrace.content_id import content_id
from headrace.datasets import Dataset
from headrace.dead_letters import DeadLetter, DeadLetterRefusal, DeadLetters, LetterFilter, ReplayResult
from headrace.deadline import Deadline
from headrace.delivery import ProducerDelivery, SeqGap
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
from headrace.events import Event, Events
from headrace.ids import composite_id, uuid7
from headrace.jobs import Job, JobState
from headrace.media import Media
from headrace.model import Model
from headrace.quarantine import QuarantinedBatch
from headrace.results import BatchOutcome, PublishResult, RowError, Stats
from headrace.schema import (
    Column,
    ColumnKind,
    EventIdType,
    Identity,
    ModelInfo,
    Schema,
    UnknownColumns,
    ValueType,
)
from headrace.settings import Overflow, Settings
from headrace.statistics import ModelStatistics, RowCount, TableStatistics
from headrace.tasks import ColumnRole, TaskType
from headrace.version import __version__

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
