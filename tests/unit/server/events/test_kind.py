"""Events: the names they may use, and the names they may not."""

import pytest

from headrace_server.models.column_types import ValueType
from headrace_server.models.schema import EventIdType
from support.event_schemas import schema
from support.model_definitions import feature, label, prediction


def test_a_column_has_its_written_and_its_folded_name() -> None:
    fields = schema(feature("Departure Delay")).fields
    assert fields["Departure Delay"] is fields["departure_delay"]
    assert fields["departure_delay"].sql_name == "departure_delay"


def test_prediction_names_the_only_prediction() -> None:
    assert schema(prediction("score")).fields["prediction"].sql_name == "score"
    assert "prediction" not in schema(prediction("score"), prediction("rank")).fields
    assert "prediction" not in schema(feature("dep_delay")).fields


def test_a_column_of_that_name_is_what_it_says() -> None:
    fields = schema(prediction("score"), feature("prediction", ValueType.STRING)).fields
    assert fields["prediction"].type is ValueType.STRING


def test_a_column_named_like_a_system_column_is_called_f_name_on_the_wire_too() -> None:
    of = schema(feature("latency_ms", ValueType.STRING), feature("observed_time", ValueType.STRING))
    assert of.fields["latency_ms"].type is ValueType.FLOAT64
    assert of.fields["f_latency_ms"].type is ValueType.STRING
    assert "observed_time" not in of.fields
    assert of.refused["observed_time"][0] == "IMMUTABLE_COLUMN"
    assert of.fields["f_observed_time"].type is ValueType.STRING


def test_labels_are_refused_under_both_their_names() -> None:
    of = schema(feature("dep_delay"), label("Arrival Delay"))
    for name in ("Arrival Delay", "arrival_delay"):
        reason, message = of.refused[name]
        assert reason == "LABEL_IN_EVENT"
        assert "kind LABELS" in message
        assert name not in of.fields


def test_a_feature_that_has_the_name_of_a_label_may_be_sent() -> None:
    of = schema(feature("late", ValueType.BOOL), label("late"))
    assert "late" in of.fields
    assert "late" not in of.refused


@pytest.mark.parametrize("id_type", list(EventIdType))
def test_ids_are_of_the_models_type_and_have_their_own_limit(id_type: EventIdType) -> None:
    field = schema(event_id_type=id_type).fields["event_id"]
    assert field.is_uuid == (id_type is EventIdType.UUID)
    assert (field.max_bytes, field.too_long) == (128, "EVENT_ID_TOO_LONG")


def test_limits_of_system_columns_are_theirs() -> None:
    fields = schema().fields
    assert {name: fields[name].max_bytes for name in ("model_version", "source", "tags", "media_sha256")} == {
        "model_version": 128,
        "source": 256,
        "tags": 256,
        "media_sha256": 64,
    }


def test_the_documents_of_a_row_are_known() -> None:
    assert schema().json_columns == {"raw", "metadata"}
    assert schema(feature("Raw Data", ValueType.JSON)).json_columns == {"raw_data", "metadata"}
