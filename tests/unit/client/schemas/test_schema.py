"""Schemas are said or inferred, and come back from the registry as they went."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import grpc
import pandas as pd
import polars as pl
import pytest

import headrace
from headrace import Column, ColumnKind, Identity, InvalidArgumentError, Schema, UnknownColumns, ValueType
from headrace.testing import FakeService
from support.eventually import eventually

Connect = Callable[..., headrace.Client]


def types(schema: Schema) -> dict[str, tuple[ValueType, int]]:
    return {column.name: (column.type, column.dimension) for column in schema.columns}


def test_a_schema_by_hand() -> None:
    schema = Schema(
        features={"x": "float64", "embedding": "vector(3)", "kind": ValueType.CATEGORY},
        predictions={"score": "FLOAT64"},
        labels={"late": "bool"},
        extras={"note": "string"},
    )
    assert types(schema)["embedding"] == (ValueType.VECTOR, 3)
    assert [schema.names(kind) for kind in ColumnKind] == [["x", "embedding", "kind"], ["score"], ["late"], ["note"]]
    assert Schema.from_proto(schema.to_proto()) == schema


def test_a_task_finds_the_roles_that_one_column_only_can_have_and_printing_shows_them() -> None:
    rows = [{"distance": 1400.0, "carrier": "UA", "p": 0.8, "late": True, "arr_delay": 3.0}]
    schema = Schema.infer(
        rows,
        features=["distance", "carrier"],
        predictions="p",
        labels=["late", "arr_delay"],
        task="binary_classification",
        classes=["false", "true"],
        positive_class="true",
    )
    assert str(schema).splitlines() == [
        "task: binary_classification; classes: false, true; positive: true; threshold: 0.5",
        "column     kind        type     role",
        "distance   feature     float64",
        "carrier    feature     string",
        "p          prediction  float64  score",
        "late       label       bool     target",
        "arr_delay  label       float64",
    ]
    assert Schema.from_proto(schema.to_proto()) == schema


def test_roles_are_given_by_name_where_several_columns_could_have_them() -> None:
    schema = Schema(
        predictions={"p": "float64", "margin": "float64"},
        task=headrace.TaskType.REGRESSION,
        roles={"margin": headrace.ColumnRole.PREDICTED_VALUE},
    )
    assert [column.role for column in schema.columns] == [None, headrace.ColumnRole.PREDICTED_VALUE]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"task": "guessing"}, "no task 'guessing'; there are binary_classification"),
        ({"roles": {"x": "oracle"}}, "no role 'oracle'; there are score"),
        ({"roles": {"y": "score"}}, "not there: y"),
    ],
)
def test_a_task_or_role_that_is_none_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgumentError, match=said):
        Schema(predictions={"x": "float64"}, **wrong)


@pytest.mark.parametrize("given", ["int32", "vector", "vector(x)", ""])
def test_an_unknown_type_is_refused_with_those_there_are(given: str) -> None:
    with pytest.raises(InvalidArgumentError, match="float64"):
        Schema(features={"x": given})


def test_a_name_stands_once() -> None:
    with pytest.raises(InvalidArgumentError, match="x"):
        Schema(features={"x": "bool"}, labels={"x": "bool"})


def test_dicts_tell_types_by_their_values_and_numbers_are_float64() -> None:
    rows = [
        {"event_id": "a", "n": 1, "x": None, "s": "t", "b": True, "at": datetime.now(UTC), "v": [1, 2], "l": ["t"]},
        {"event_id": "b", "n": 2, "x": 0.5, "s": None, "d": {"k": 1}, "source": "desk", "late": False},
    ]
    schema = Schema.infer(rows, predictions=["x"], labels="late")
    assert types(schema) == {
        "n": (ValueType.FLOAT64, 0),
        "x": (ValueType.FLOAT64, 0),
        "s": (ValueType.STRING, 0),
        "b": (ValueType.BOOL, 0),
        "at": (ValueType.TIMESTAMP, 0),
        "v": (ValueType.VECTOR, 2),
        "l": (ValueType.STRING_LIST, 0),
        "d": (ValueType.JSON, 0),
        "late": (ValueType.BOOL, 0),
    }
    assert schema.names(ColumnKind.PREDICTION) == ["x"]
    assert schema.names(ColumnKind.LABEL) == ["late"]


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_frames_tell_types_as_they_declare_them(frame: Callable[..., object]) -> None:
    source = frame({"n": [1, 2], "x": [0.5, None], "s": ["a", "b"], "v": [[1.0, 2.0], [3.0, 4.0]]})
    assert types(Schema.infer(source)) == {
        "n": (ValueType.INT64, 0),
        "x": (ValueType.FLOAT64, 0),
        "s": (ValueType.STRING, 0),
        "v": (ValueType.VECTOR, 2),
    }


@pytest.mark.parametrize(
    ("rows", "arguments", "complaint"),
    [
        ([{"x": None}], {}, "x: no value tells it"),
        ([{"x": 1}, {"x": "a"}], {}, "x: values of several types"),
        ([{"x": 1}], {"labels": ["late"]}, "'late'"),
        ([], {}, "no rows"),
        (iter([{"x": 1}]), {}, "only once"),
    ],
)
def test_what_cannot_be_inferred_is_said(rows: object, arguments: dict[str, list[str]], complaint: str) -> None:
    with pytest.raises(InvalidArgumentError, match=complaint):
        Schema.infer(rows, **arguments)


def test_a_model_is_registered_found_listed_and_extended(service: FakeService, client: headrace.Client) -> None:
    schema = Schema(features={"x": "float64"}, labels={"late": "bool"})
    for name in ("a", "b", "c"):
        handle = client.register(schema, name=name, version="v1", identity=Identity.APPEND)
        assert (handle.name, handle.version) == (name, "v1")
    found = client.get_model("b", version="v2").info
    assert found is not None
    assert (found.schema, found.identity, found.versions) == (schema, Identity.APPEND, ("v1",))
    assert [info.name for info in client.list_models()] == ["a", "b", "c"]
    info = client.update_model(
        "b", add=[Column("y", ColumnKind.FEATURE, ValueType.BOOL)], unknown_columns=UnknownColumns.ADD
    )
    assert info.schema.names(ColumnKind.FEATURE) == ["x", "y"]
    assert info.unknown_columns is UnknownColumns.ADD


def test_what_the_registry_refuses_has_its_reason(client: headrace.Client) -> None:
    client.register(Schema(features={"x": "float64"}), name="m")
    with pytest.raises(headrace.ServiceError) as caught:
        client.register(Schema(features={"x": "string"}), name="m")
    assert (caught.value.reason, caught.value.code) == ("TYPE_CONFLICT", grpc.StatusCode.FAILED_PRECONDITION)
    with pytest.raises(headrace.ServiceError, match="REVISION_CONFLICT"):
        client.update_model("m", revision=77)


def test_a_model_that_is_not_there_has_an_error_of_its_own(client: headrace.Client) -> None:
    with pytest.raises(headrace.ModelNotFoundError) as caught:
        client.get_model("nowhere")
    assert caught.value.metadata == {"model": "nowhere"}


def test_a_registry_that_is_away_is_called_again_until_it_answers(
    service: FakeService, client: headrace.Client
) -> None:
    client.register(Schema(features={"x": "float64"}), name="m")
    with ThreadPoolExecutor(1) as thread:
        with service.unavailable():
            waiting = thread.submit(client.get_model, "m")
            eventually(lambda: len(service.metadata) > 3)
        assert waiting.result().name == "m"


def test_a_registry_that_stays_away_is_given_up_at_the_deadline(connect: Connect) -> None:
    client = connect(address="localhost:1", call_timeout_s=0.2)
    with pytest.raises(headrace.ServiceError) as caught:
        client.get_model("m")
    assert caught.value.retryable


def test_a_model_without_a_name_is_refused(client: headrace.Client) -> None:
    with pytest.raises(InvalidArgumentError, match="name"):
        client.model("")
