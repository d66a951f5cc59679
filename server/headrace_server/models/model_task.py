"""What a model is for: how its task, roles, classes and threshold are settled once its columns stand.

In: a schema with its columns, and what is asked for. Out: the schema with the task, and with the roles that only one
column can have (headrace/tasks.py says which those are); or the error that names each role the task lacks. A task and a
role stay once they are set, classes are only added.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from headrace.schemas.tasks import Candidate, TaskType, inferred_roles, missing_roles
from headrace_server.errors import ModelInvalidError, TypeConflictError
from headrace_server.models import names
from headrace_server.models.definition import TaskDefinition
from headrace_server.models.schema import ModelColumn, ModelSchema

MAX_CLASSES = 10_000
MAX_CLASS_CHARACTERS = 256


def settle(schema: ModelSchema, asked: TaskDefinition, prefix: str = "model.") -> ModelSchema:
    """Return the schema with the task that is asked for; the very schema where nothing is new.

    Args:
        schema: What stands, new columns among it.
        asked: What is said of the task; what is not said stays.
        prefix: Where the request has the task, for the errors' field names.

    Raises:
        ModelInvalidError: The task lacks a role, a role stands twice, or a class or the threshold is not possible.
        TypeConflictError: The model has another task or positive class.
    """
    if conflicts := _conflicts(schema, asked, prefix):
        fault = next(iter(conflicts.values()))
        raise TypeConflictError(f"the model {schema.name!r} is registered otherwise: {fault}", fields=conflicts)
    task = asked.type or schema.task
    classes = (*schema.classes, *(each for each in dict.fromkeys(asked.classes) if each not in schema.classes))
    columns = _with_roles(schema.columns, task) if task else schema.columns
    settled = replace(
        schema,
        columns=columns,
        task=task,
        classes=classes,
        positive_class=asked.positive_class or schema.positive_class or _positive_of(task, classes),
        threshold=schema.threshold if asked.threshold is None else asked.threshold,
    )
    faults = _faults(settled, prefix)
    if classes != schema.classes:
        faults |= _faulty_classes(settled, f"{prefix}classes" if prefix else "add_classes")
    if faults:
        field, fault = next(iter(faults.items()))
        raise ModelInvalidError(f"{field}: {fault}", fields=faults)
    return schema if settled == schema else settled


def _conflicts(schema: ModelSchema, asked: TaskDefinition, prefix: str) -> dict[str, str]:
    conflicts = {}
    if asked.type and schema.task and asked.type is not schema.task:
        conflicts[f"{prefix}task"] = f"registered as {schema.task.name}, not {asked.type.name}"
    if asked.positive_class and schema.positive_class and asked.positive_class != schema.positive_class:
        conflicts[f"{prefix}positive_class"] = f"registered as {schema.positive_class!r}"
    return conflicts


def _with_roles(columns: tuple[ModelColumn, ...], task: TaskType) -> tuple[ModelColumn, ...]:
    roles = inferred_roles(task, _candidates(columns))
    return tuple(
        column if column.role is role else replace(column, role=role)
        for column, role in zip(columns, roles, strict=True)
    )


def _candidates(columns: Sequence[ModelColumn]) -> list[Candidate]:
    return [Candidate(column.name, column.kind.name, column.type.name, column.role) for column in columns]


def _positive_of(task: TaskType | None, classes: Sequence[str]) -> str:
    return classes[1] if task is TaskType.BINARY_CLASSIFICATION and len(classes) == 2 else ""


def _faults(schema: ModelSchema, prefix: str) -> dict[str, str]:
    faults = {}
    candidates = _candidates(schema.columns)
    if schema.task and (missing := missing_roles(schema.task, candidates)):
        faults[f"{prefix}task"] = (
            f"{schema.task.name} needs a column of the role {'; one of the role '.join(missing)}: give the role to a"
            " column"
        )
    held = Counter((column.is_label, column.role) for column in candidates if column.role)
    twice = sorted(role.name for (_, role), count in held.items() if count > 1)
    if twice:
        faults[f"{prefix}columns" if prefix else "add_columns"] = f"two columns have the role {', '.join(twice)}"
    if not 0 <= schema.threshold <= 1:
        faults[f"{prefix}threshold"] = f"must be between 0 and 1, not {schema.threshold}"
    if len(schema.positive_class) > MAX_CLASS_CHARACTERS or not names.storable(schema.positive_class):
        faults[f"{prefix}positive_class"] = "must be a text that PostgreSQL stores, of at most 256 characters"
    elif schema.positive_class and schema.classes and schema.positive_class not in schema.classes:
        faults[f"{prefix}positive_class"] = f"{schema.positive_class!r} is none of the classes"
    return faults


def _faulty_classes(schema: ModelSchema, field: str) -> dict[str, str]:
    if len(schema.classes) > MAX_CLASSES:
        return {field: f"the model would have {len(schema.classes)} classes; at most {MAX_CLASSES} are possible"}
    if schema.task is TaskType.BINARY_CLASSIFICATION and len(schema.classes) > 2:
        return {field: f"a BINARY_CLASSIFICATION has 2 classes, not {len(schema.classes)}"}
    for each in schema.classes:
        if not 1 <= len(each) <= MAX_CLASS_CHARACTERS or not names.storable(each):
            return {field: f"{each[:60]!r} is no class: 1 to {MAX_CLASS_CHARACTERS} characters that PostgreSQL stores"}
    return {}
