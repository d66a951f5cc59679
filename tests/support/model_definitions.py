"""Definitions of models for tests: short ways to say what a test is about and nothing more."""

from __future__ import annotations

from typing import Any

from headrace.schemas.tasks import ColumnRole
from headrace_server.models.column_types import ValueType
from headrace_server.models.definition import ColumnDefinition, ModelDefinition
from headrace_server.models.schema import ColumnKind


def feature(
    name: str, type_: ValueType = ValueType.FLOAT64, dimension: int = 0, role: ColumnRole | None = None
) -> ColumnDefinition:
    return ColumnDefinition(name, ColumnKind.FEATURE, type_, dimension, role=role)


def prediction(name: str, type_: ValueType = ValueType.FLOAT64, role: ColumnRole | None = None) -> ColumnDefinition:
    return ColumnDefinition(name, ColumnKind.PREDICTION, type_, role=role)


def label(name: str, type_: ValueType = ValueType.BOOL, role: ColumnRole | None = None) -> ColumnDefinition:
    return ColumnDefinition(name, ColumnKind.LABEL, type_, role=role)


def flights(*more: ColumnDefinition, name: str = "flight_delay", **settings: Any) -> ModelDefinition:
    """A model with a feature and a prediction, and what else is given."""
    return ModelDefinition(name, (feature("dep_delay"), prediction("score"), *more), **settings)
