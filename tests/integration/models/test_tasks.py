"""Tasks, roles and classes live in the registry: every replica has them, and they outlive each."""

from collections.abc import Awaitable, Callable

import pytest

from headrace.schemas.tasks import ColumnRole, TaskType
from headrace_server.errors import ModelInvalidError
from headrace_server.models.definition import TaskDefinition
from headrace_server.models.registry import Registry
from support.model_definitions import flights, label, prediction

OpenRegistry = Callable[..., Awaitable[Registry]]

BINARY = TaskDefinition(TaskType.BINARY_CLASSIFICATION, ("on time", "late"), "late", 0.4)


async def test_a_task_is_there_for_every_registry(open_registry: OpenRegistry) -> None:
    here, there = await open_registry(), await open_registry()
    schema, _ = await here.register("main", flights(label("late"), task=BINARY))
    assert [column.role for column in schema.columns] == [None, ColumnRole.SCORE, ColumnRole.TARGET]
    assert (schema.task, schema.classes) == (TaskType.BINARY_CLASSIFICATION, ("on time", "late"))
    assert (schema.positive_class, schema.threshold) == ("late", 0.4)
    assert await there.get("main", "flight_delay") == schema
    assert await there.register("main", flights(label("late"), task=BINARY)) == (schema, False)


async def test_a_model_gets_its_task_later(open_registry: OpenRegistry) -> None:
    here, there = await open_registry(), await open_registry()
    await here.register("main", flights(label("late")))
    await here.update("main", "flight_delay", [prediction("score", role=ColumnRole.SCORE)])
    schema = await here.update("main", "flight_delay", task=BINARY)
    assert schema.revision == 3
    assert await there.get("main", "flight_delay") == schema
    moved = await here.update("main", "flight_delay", task=TaskDefinition(threshold=0.6))
    assert (moved.threshold, moved.revision) == (0.6, 4)


async def test_a_refused_task_leaves_no_trace(registry: Registry) -> None:
    with pytest.raises(ModelInvalidError, match="GROUP_ID"):
        await registry.register("main", flights(task=TaskDefinition(TaskType.RANKING)))
    assert await registry.get("main", "flight_delay") is None
