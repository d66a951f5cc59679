import pyarrow as pa

from headrace_server.models import evolution
from headrace_server.models.column_types import ValueType
from headrace_server.models.late_tables import LABELS, inbox_table, settled_table
from headrace_server.models.schema import EventIdType
from headrace_server.models.system_columns import EVENT_COLUMNS, LABEL_COLUMNS
from headrace_server.models.table_spec import events_table
from support.model_definitions import feature, flights, label


def test_events_have_the_system_columns_first_and_no_labels() -> None:
    spec = events_table(evolution.create("main", flights(label("late"))))
    names = [column.name for column in spec.columns]
    assert names == [*(column.name for column in EVENT_COLUMNS), "dep_delay", "score"]
    assert {column.name for column in spec.columns if column.required} == {"event_id", "event_time"}
    assert spec.copied == spec.columns


def test_labels_lie_in_a_table_of_their_own() -> None:
    spec = settled_table(evolution.create("main", flights(label("late"), label("minutes", ValueType.FLOAT64))), LABELS)
    assert spec.qualified == '"main"."flight_delay_labels"'
    assert [column.name for column in spec.columns] == [*(column.name for column in LABEL_COLUMNS), "late", "minutes"]
    assert {column.name for column in spec.columns if column.required} == {"event_id", "event_time", "recorded_time"}


def test_a_copy_into_the_inbox_leaves_its_number_and_clock_to_the_database() -> None:
    spec = inbox_table(evolution.create("main", flights(label("late"))), LABELS)
    left = {column.name for column in spec.columns} - {column.name for column in spec.copied}
    assert left == {"inbox_id", "recorded_time"}
    assert not next(column for column in spec.columns if column.name == "event_time").required


def test_ids_are_text_in_byte_order_or_uuids() -> None:
    text = events_table(evolution.create("main", flights()))
    uuid = events_table(evolution.create("main", flights(event_id_type=EventIdType.UUID)))
    ids = [next(column for column in spec.columns if column.name == "event_id") for spec in (text, uuid)]
    assert [(column.sql, column.arrow) for column in ids] == [
        ('text COLLATE "C"', pa.string()),
        ("uuid", pa.binary(16)),
    ]


def test_json_columns_are_told_apart_from_texts() -> None:
    spec = events_table(evolution.create("main", flights(feature("extra", ValueType.JSON))))
    assert [column.name for column in spec.columns if column.is_json] == ["metadata", "extra"]
