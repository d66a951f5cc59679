from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from headrace.schemas.tasks import ColumnRole, TaskType
from headrace.v1 import model_pb2
from headrace_server.errors import ModelInvalidError
from headrace_server.models import evolution, wire
from headrace_server.models.column_types import ValueType
from headrace_server.models.definition import ModelDefinition, TaskDefinition
from headrace_server.models.schema import Identity, UnknownColumns
from support.model_definitions import feature, flights, label, prediction


def test_a_model_comes_back_from_the_wire_as_it_went() -> None:
    asked = flights(
        label("late"),
        feature("image", ValueType.VECTOR, 4),
        prediction("p", role=ColumnRole.SCORE),
        identity=Identity.APPEND,
        task=TaskDefinition(TaskType.BINARY_CLASSIFICATION, ("on time", "late"), "late", 0.4),
        unknown_columns=UnknownColumns.METADATA,
        earliest_event_time=datetime(2000, 1, 1, tzinfo=UTC),
        latest_ahead=timedelta(hours=2),
        chunk_interval=timedelta(days=1),
    )
    schema = evolution.create("main", asked, "v1")
    again = evolution.create("main", wire.definition(wire.to_proto(schema)), "v1")
    assert again == schema
    assert (again.task, again.classes, again.threshold) == (
        TaskType.BINARY_CLASSIFICATION,
        ("on time", "late"),
        0.4,
    )


def test_a_model_names_its_tables_as_sql_wants_them() -> None:
    model = wire.to_proto(evolution.create("main", flights(label("late"), feature("Event ID"))))
    assert model.events_table == '"main"."flight_delay"'
    assert model.labels_table == '"main"."flight_delay_labels"'
    assert model.joined_view == '"main"."flight_delay_joined"'
    assert model.columns[3].sql_name == "f_event_id"


def test_a_model_without_labels_has_no_tables_for_them() -> None:
    model = wire.to_proto(evolution.create("main", flights()))
    assert (model.labels_table, model.joined_view) == ("", "")


def test_what_is_left_unsaid_takes_its_default() -> None:
    definition = wire.definition(model_pb2.Model(name="flight_delay"))
    assert definition == ModelDefinition("flight_delay")


def test_every_fault_of_the_message_is_named() -> None:
    model = model_pb2.Model(
        name="flight_delay",
        identity=9,  # type: ignore[arg-type]
        earliest_event_time=Timestamp(seconds=10**15),
        chunk_interval=Duration(seconds=2**62),
        columns=[
            model_pb2.ModelColumn(name="no_kind", type=model_pb2.VALUE_TYPE_BOOL),
            model_pb2.ModelColumn(name="no_type", kind=model_pb2.COLUMN_KIND_LABEL),
            model_pb2.ModelColumn(name="odd", kind=77, type=99, role=55),  # type: ignore[arg-type]
        ],
        task=44,  # type: ignore[arg-type]
    )
    with pytest.raises(ModelInvalidError) as caught:
        wire.definition(model)
    assert set(caught.value.fields) == {
        "model.identity",
        "model.earliest_event_time",
        "model.chunk_interval",
        "model.columns[0].kind",
        "model.columns[1].type",
        "model.columns[2].kind",
        "model.columns[2].type",
        "model.columns[2].role",
        "model.task",
    }


def test_columns_to_add_are_named_after_their_own_field() -> None:
    with pytest.raises(ModelInvalidError) as caught:
        wire.added_columns([model_pb2.ModelColumn(name="x", kind=model_pb2.COLUMN_KIND_LABEL)])
    assert list(caught.value.fields) == ["add_columns[0].type"]


def test_an_unspecified_policy_is_none_and_an_unknown_one_is_refused() -> None:
    assert wire.unknown_columns(0) is None
    assert wire.unknown_columns(model_pb2.UNKNOWN_COLUMNS_ADD) is UnknownColumns.ADD
    with pytest.raises(ModelInvalidError):
        wire.unknown_columns(42)
