"""The system columns: what an event or a late row carries beside its model's own columns.

The names of an event's and a label's are reserved: a model's column of the same name is stored as f_<name>
(models/names.py). Those of the other late kinds give way in their own tables only (models/late_tables.py).
"""

from dataclasses import dataclass

from headrace_server.models.column_types import ValueType


@dataclass(frozen=True)
class SystemColumn:
    """A column every table of its kind has.

    Attributes:
        type: Type of its values; event_id's is the model's own choice of text or uuid.
        max_bytes: Longest text, or longest item of a list.
        written_by_service: The client may not send it.
    """

    name: str
    type: ValueType
    max_bytes: int = 64 * 1024
    written_by_service: bool = False


EVENT_ID_MAX_BYTES = 128

EVENT_ID = SystemColumn("event_id", ValueType.STRING, EVENT_ID_MAX_BYTES)
EVENT_TIME = SystemColumn("event_time", ValueType.TIMESTAMP)

# In the order of the table: fixed-width columns first, so that rows pack well.
EVENT_COLUMNS: tuple[SystemColumn, ...] = (
    EVENT_TIME,
    SystemColumn("observed_time", ValueType.TIMESTAMP, written_by_service=True),
    EVENT_ID,
    SystemColumn("model_version", ValueType.STRING, 128),
    SystemColumn("variant", ValueType.STRING, 128),
    SystemColumn("latency_ms", ValueType.FLOAT64),
    SystemColumn("source", ValueType.STRING, 256),
    SystemColumn("tags", ValueType.STRING_LIST, 256),
    SystemColumn("trace_id", ValueType.STRING, 64),
    SystemColumn("span_id", ValueType.STRING, 32),
    SystemColumn("media_uri", ValueType.STRING, 2048),
    SystemColumn("media_content_type", ValueType.STRING, 256),
    SystemColumn("media_height", ValueType.INT64),
    SystemColumn("media_width", ValueType.INT64),
    SystemColumn("media_sha256", ValueType.STRING, 64),
    SystemColumn("inclusion_probability", ValueType.FLOAT64),
    SystemColumn("metadata", ValueType.JSON),
)

# Not every events table has it: a model gets it, as a column of its own, with its first inline media.
MEDIA_BYTES = "media_bytes"

RECORDED_TIME = SystemColumn("recorded_time", ValueType.TIMESTAMP, written_by_service=True)
SOURCE = SystemColumn("source", ValueType.STRING, 256)

LABEL_COLUMNS: tuple[SystemColumn, ...] = (
    EVENT_TIME,
    SystemColumn("label_time", ValueType.TIMESTAMP),
    RECORDED_TIME,
    EVENT_ID,
    SOURCE,
)

INFLUENCE_COLUMNS: tuple[SystemColumn, ...] = (
    EVENT_TIME,
    RECORDED_TIME,
    SystemColumn("base_value", ValueType.FLOAT64),
    EVENT_ID,
    SystemColumn("output", ValueType.STRING, 256),
    SOURCE,
)

VARIANT_COLUMNS: tuple[SystemColumn, ...] = (
    EVENT_TIME,
    RECORDED_TIME,
    SystemColumn("latency_ms", ValueType.FLOAT64),
    EVENT_ID,
    SystemColumn("variant", ValueType.STRING, 128),
    SystemColumn("model_version", ValueType.STRING, 128),
    SOURCE,
)

METRIC_COLUMNS: tuple[SystemColumn, ...] = (
    EVENT_TIME,
    SystemColumn("metric_time", ValueType.TIMESTAMP),
    RECORDED_TIME,
    SystemColumn("value", ValueType.FLOAT64),
    EVENT_ID,
    SystemColumn("name", ValueType.STRING, 256),
    SOURCE,
)

# Never compared when a repeat is told apart from a conflict: they belong to the delivery, not to the event.
NOT_COMPARED = frozenset({"observed_time", "trace_id", "span_id", "inclusion_probability"})

SYSTEM_NAMES = frozenset(column.name for column in (*EVENT_COLUMNS, *LABEL_COLUMNS))
