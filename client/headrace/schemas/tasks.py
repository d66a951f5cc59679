"""Tasks and roles: what a model is for, and which of its columns is what to that.

One table, read at both ends: the SDK shows with it what a schema was guessed to be, the service registers by it. A role
that is not said is found where only one column can be meant: by the column's name, or as the only column that could
have the role.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias, TypeVar

from headrace.errors import InvalidArgumentError
from headrace.v1 import model_pb2


class TaskType(enum.Enum):
    """What a model is for."""

    BINARY_CLASSIFICATION = model_pb2.TASK_TYPE_BINARY_CLASSIFICATION
    MULTICLASS_CLASSIFICATION = model_pb2.TASK_TYPE_MULTICLASS_CLASSIFICATION
    REGRESSION = model_pb2.TASK_TYPE_REGRESSION
    RANKING = model_pb2.TASK_TYPE_RANKING
    IMAGE_CLASSIFICATION = model_pb2.TASK_TYPE_IMAGE_CLASSIFICATION
    OBJECT_DETECTION = model_pb2.TASK_TYPE_OBJECT_DETECTION
    SEGMENTATION = model_pb2.TASK_TYPE_SEGMENTATION
    KEYPOINT_DETECTION = model_pb2.TASK_TYPE_KEYPOINT_DETECTION
    TEXT_GENERATION = model_pb2.TASK_TYPE_TEXT_GENERATION


class ColumnRole(enum.Enum):
    """What a column is to its model's task."""

    SCORE = model_pb2.COLUMN_ROLE_SCORE
    PREDICTED_CLASS = model_pb2.COLUMN_ROLE_PREDICTED_CLASS
    PREDICTED_VALUE = model_pb2.COLUMN_ROLE_PREDICTED_VALUE
    PROBABILITIES = model_pb2.COLUMN_ROLE_PROBABILITIES
    TARGET = model_pb2.COLUMN_ROLE_TARGET
    GROUP_ID = model_pb2.COLUMN_ROLE_GROUP_ID
    ITEM_ID = model_pb2.COLUMN_ROLE_ITEM_ID
    RANK = model_pb2.COLUMN_ROLE_RANK
    RELEVANCE = model_pb2.COLUMN_ROLE_RELEVANCE
    PROMPT = model_pb2.COLUMN_ROLE_PROMPT
    RESPONSE = model_pb2.COLUMN_ROLE_RESPONSE
    CLASSES = model_pb2.COLUMN_ROLE_CLASSES
    BOXES = model_pb2.COLUMN_ROLE_BOXES
    MASKS = model_pb2.COLUMN_ROLE_MASKS
    KEYPOINTS = model_pb2.COLUMN_ROLE_KEYPOINTS
    LINES = model_pb2.COLUMN_ROLE_LINES
    POINTS = model_pb2.COLUMN_ROLE_POINTS


TaskLike: TypeAlias = TaskType | str
"""A task, as TaskType or as text: "binary_classification"."""
RoleLike: TypeAlias = ColumnRole | str
"""A role, as ColumnRole or as text: "score"."""

Choice = TypeVar("Choice", TaskType, ColumnRole)


def member(choices: type[Choice], given: Choice | str, what: str) -> Choice:
    """Return the member that is given, by itself or by its name in any case.

    Raises:
        InvalidArgumentError: There is none of this name.
    """
    if isinstance(given, choices):
        return given
    named = choices.__members__.get(str(given).upper())
    if named is None:
        raise InvalidArgumentError(f"no {what} {given!r}; there are {', '.join(choices.__members__).lower()}")
    return named


class Candidate(NamedTuple):
    """A column as far as its role depends on it.

    Attributes:
        name: Its name.
        kind: Name of its ColumnKind.
        type: Name of its ValueType.
        role: Its role, where it is known.
    """

    name: str
    kind: str
    type: str
    role: ColumnRole | None = None

    @property
    def is_label(self) -> bool:
        """Whether it is a label, which has its roles apart from the event's columns."""
        return self.kind == "LABEL"


_WORDS = ("STRING", "CATEGORY")
_KEYS = (*_WORDS, "INT64")
_NUMBERS = ("FLOAT64", "INT64")
_PREDICTION, _LABEL, _BESIDE, _DRAWN = ("PREDICTION",), ("LABEL",), ("FEATURE", "EXTRA"), ("PREDICTION", "LABEL")

_POSSIBLE: dict[ColumnRole, tuple[tuple[str, ...], tuple[str, ...]]] = {
    ColumnRole.SCORE: (_PREDICTION, ("FLOAT64",)),
    ColumnRole.PREDICTED_CLASS: (_PREDICTION, (*_KEYS, "BOOL")),
    ColumnRole.PREDICTED_VALUE: (_PREDICTION, _NUMBERS),
    ColumnRole.PROBABILITIES: (_PREDICTION, ("JSON",)),
    ColumnRole.TARGET: (_LABEL, (*_KEYS, "BOOL", "FLOAT64")),
    ColumnRole.GROUP_ID: (_BESIDE, _KEYS),
    ColumnRole.ITEM_ID: (_BESIDE, _KEYS),
    ColumnRole.RANK: (_PREDICTION, _NUMBERS),
    ColumnRole.RELEVANCE: (_LABEL, (*_NUMBERS, "BOOL")),
    ColumnRole.PROMPT: (("FEATURE",), ("STRING",)),
    ColumnRole.RESPONSE: (_PREDICTION, ("STRING",)),
    ColumnRole.CLASSES: (_DRAWN, ("JSON",)),
    ColumnRole.BOXES: (_DRAWN, ("JSON",)),
    ColumnRole.MASKS: (_DRAWN, ("JSON",)),
    ColumnRole.KEYPOINTS: (_DRAWN, ("JSON",)),
    ColumnRole.LINES: (_DRAWN, ("JSON",)),
    ColumnRole.POINTS: (_DRAWN, ("JSON",)),
}
"""Kinds and types of the columns that can have a role."""

Needs = tuple[tuple[ColumnRole, ...], ...]


class _Task(NamedTuple):
    """What a task asks for.

    Attributes:
        needs: Of each group one role, among the columns of the event.
        truth: One of these, among the labels, where there are any.
    """

    needs: Needs
    truth: tuple[ColumnRole, ...] = (ColumnRole.TARGET,)


_POSES = (ColumnRole.KEYPOINTS, ColumnRole.LINES, ColumnRole.POINTS)
_TASKS: dict[TaskType, _Task] = {
    TaskType.BINARY_CLASSIFICATION: _Task(((ColumnRole.SCORE, ColumnRole.PREDICTED_CLASS, ColumnRole.PROBABILITIES),)),
    TaskType.MULTICLASS_CLASSIFICATION: _Task(((ColumnRole.PREDICTED_CLASS, ColumnRole.PROBABILITIES),)),
    TaskType.REGRESSION: _Task(((ColumnRole.PREDICTED_VALUE,),)),
    TaskType.RANKING: _Task(
        ((ColumnRole.GROUP_ID,), (ColumnRole.ITEM_ID,), (ColumnRole.RANK, ColumnRole.PREDICTED_VALUE)),
        (ColumnRole.RELEVANCE,),
    ),
    TaskType.IMAGE_CLASSIFICATION: _Task(
        ((ColumnRole.CLASSES, ColumnRole.PREDICTED_CLASS, ColumnRole.PROBABILITIES),),
        (ColumnRole.TARGET, ColumnRole.CLASSES),
    ),
    TaskType.OBJECT_DETECTION: _Task(((ColumnRole.BOXES,),), (ColumnRole.BOXES,)),
    TaskType.SEGMENTATION: _Task(((ColumnRole.MASKS,),), (ColumnRole.MASKS,)),
    TaskType.KEYPOINT_DETECTION: _Task((_POSES,), _POSES),
    TaskType.TEXT_GENERATION: _Task(((ColumnRole.PROMPT,), (ColumnRole.RESPONSE,)), ()),
}


def roles_of(task: TaskType) -> list[ColumnRole]:
    """Return the roles a task asks for, the first that counts first."""
    asks = _TASKS[task]
    return [*(role for group in asks.needs for role in group), *asks.truth]


def cannot_have(role: ColumnRole, kind: str, type_: str) -> str | None:
    """Tell why a column of this kind and type cannot have the role; None when it can."""
    kinds, types = _POSSIBLE[role]
    if kind in kinds and type_ in types:
        return None
    return f"a {role.name} is a {' or '.join(kinds)} of type {' or '.join(types)}, not a {kind} of type {type_}"


def inferred_roles(task: TaskType, columns: Sequence[Candidate]) -> list[ColumnRole | None]:
    """Return the columns' roles: those they have, and those that can mean one column only.

    Args:
        task: What the model is for.
        columns: The model's columns.
    """
    roles = [column.role for column in columns]
    asks = _TASKS[task]
    for is_label, wanted in ((False, [role for group in asks.needs for role in group]), (True, list(asks.truth))):
        side = [index for index, column in enumerate(columns) if column.is_label is is_label]
        for find in (_by_name, _the_only_one):
            for role in wanted:
                if role not in [roles[index] for index in side]:
                    found = find(role, [(index, columns[index]) for index in side if roles[index] is None])
                    if found is not None:
                        roles[found] = role
    return roles


def missing_roles(task: TaskType, columns: Sequence[Candidate]) -> list[str]:
    """Return what the task asks for and no column is, each in words; empty when nothing is missing."""
    asks = _TASKS[task]
    here = {(column.is_label, column.role) for column in columns}
    missing = [
        " or ".join(role.name for role in group)
        for group in asks.needs
        if not any((False, role) in here for role in group)
    ]
    has_labels = any(column.is_label for column in columns)
    if has_labels and asks.truth and not any((True, role) in here for role in asks.truth):
        missing.append(" or ".join(role.name for role in asks.truth) + " among the labels")
    return missing


def _by_name(role: ColumnRole, columns: Sequence[tuple[int, Candidate]]) -> int | None:
    """Return the column that is called like the role."""
    for index, column in columns:
        if column.name.casefold() == role.name.casefold() and cannot_have(role, column.kind, column.type) is None:
            return index
    return None


def _the_only_one(role: ColumnRole, columns: Sequence[tuple[int, Candidate]]) -> int | None:
    """Return the only column that could have the role; which of two features is meant, nobody but the user knows.

    A FLOAT64 label may be a class, too (0.0 and 1.0), but beside one of another type it is not what is meant.
    """
    if role in {ColumnRole.GROUP_ID, ColumnRole.ITEM_ID}:
        return None
    possible = [(index, column) for index, column in columns if cannot_have(role, column.kind, column.type) is None]
    if role is ColumnRole.TARGET and len(possible) > 1:
        possible = [(index, column) for index, column in possible if column.type != "FLOAT64"]
    return possible[0][0] if len(possible) == 1 else None
