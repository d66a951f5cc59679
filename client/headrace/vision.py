"""What a model found in an image, as predictions and labels take it.

Each is a set of parallel lists, one entry an object, and is sent as one JSON document; the service checks lengths,
classes and geometry, and says what is wrong with a row. Classes may be numbers: they are sent as their text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeAlias

Box: TypeAlias = Sequence[float]
"""[x, y, width, height], in pixels."""
Point: TypeAlias = Sequence[float]
"""[x, y], in pixels; of keypoints also [x, y, visibility]."""
Polygon: TypeAlias = Sequence[Point]
"""Three points or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What all of these have.

    Attributes:
        classes: Class of each object.
        scores: Confidence of each object, 0–1.
    """

    classes: Sequence[str | int]
    scores: Sequence[float] | None = None

    def document(self) -> dict[str, object]:
        """Return the JSON document that is sent."""
        lists = {field.name: getattr(self, field.name) for field in fields(self)}
        lists["classes"] = [str(each) for each in self.classes]
        return {name: items for name, items in lists.items() if items is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification(Found):
    """Classes of the whole image; role CLASSES."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection(Found):
    """Objects with their boxes; role BOXES."""

    boxes: Sequence[Box]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmentation(Found):
    """Objects with their areas, each a list of polygons or the URI of a mask; role MASKS."""

    masks: Sequence[Sequence[Polygon] | str]
    boxes: Sequence[Box] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Keypoints(Found):
    """Objects with their points; role KEYPOINTS."""

    keypoints: Sequence[Sequence[Point]]
    boxes: Sequence[Box] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines(Found):
    """Objects that are lines of two points or more; role LINES."""

    lines: Sequence[Sequence[Point]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Points(Found):
    """Objects that are points; role POINTS."""

    points: Sequence[Point]
