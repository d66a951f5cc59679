"""What roles ask of JSON documents: probabilities by class, and what was found in an image.

Columns of documents that are valid JSON come in; rows whose document is not what the column's role asks for are
refused. A check looks at many documents at once, in loops that run in C, and raises at the first fault; then the
documents are looked at one by one, each with a verdict of its own. They are parsed piece by piece, since parsed they
take ten times the memory of their texts.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import orjson
import pyarrow as pa

from headrace.schemas.tasks import ColumnRole
from headrace_server.validation.cell_error import CellError, judge_each, shown
from headrace_server.validation.known_classes import unknown_class
from headrace_server.validation.rejections import Rejections

_PIECE_CHARACTERS = 256 * 1024
_NUMBER_TYPES = frozenset({int, float})


@dataclass(frozen=True)
class DocumentCheck:
    """Refuses rows whose document is not what `check` takes.

    Attributes:
        check: Looks at documents; raises CellError at the first fault.
    """

    check: Callable[[Sequence[Any]], None]

    def __call__(self, cells: pa.Array, name: str, rejections: Rejections) -> None:
        """Apply it to a column."""
        try:
            for documents in _pieces(cells):
                self.check(documents)
        except CellError:
            judge_each(cells.to_pylist(), lambda text: self.check([orjson.loads(str(text))]), name, rejections)


def _pieces(cells: pa.Array) -> Iterator[list[Any]]:
    """Yield the documents of a column, some at a time."""
    texts: list[str] = []
    size = 0
    for text in cells.drop_null().to_pylist():
        texts.append(text)
        size += len(text)
        if size >= _PIECE_CHARACTERS:
            yield orjson.loads(f"[{','.join(texts)}]")
            texts, size = [], 0
    yield orjson.loads(f"[{','.join(texts)}]")


@dataclass(frozen=True)
class Probabilities:
    """Demands objects of class → probability.

    Attributes:
        classes: The classes there are; empty: any.
    """

    classes: frozenset[str]

    def __call__(self, documents: Sequence[Any]) -> None:
        """Apply it."""
        for document in documents:
            if type(document) is not dict:
                raise CellError("PAYLOAD_INVALID", f"{shown(document)} is no object of class → probability")
        if self.classes:
            _known(chain.from_iterable(documents), self.classes)
        _probabilities(list(chain.from_iterable(document.values() for document in documents)), "of a class")


@dataclass(frozen=True)
class Objects:
    """Demands what was found in an image: parallel lists of classes, of scores, and of what the role draws.

    Attributes:
        drawn: The list that the role asks for; empty for classes alone.
        classes: The classes there are; empty: any.
    """

    drawn: str
    classes: frozenset[str]

    def __call__(self, documents: Sequence[Any]) -> None:
        """Apply it."""
        required = ("classes", self.drawn) if self.drawn else ("classes",)
        possible = frozenset({*required, "scores"} | ({"boxes"} if self.drawn in _BESIDE_BOXES else set()))
        for document in documents:
            _lists(document, required, possible)
        texts = [text for document in documents for text in document["classes"]]
        if not set(map(type, texts)) <= {str}:
            raise CellError("PAYLOAD_INVALID", f"{_other(texts, frozenset({str}))} in classes is no text")
        if self.classes:
            _known(texts, self.classes)
        _probabilities([score for document in documents for score in document.get("scores", ())], "in scores")
        for drawn in possible & _DRAWN.keys():
            _DRAWN[drawn]([drawing for document in documents for drawing in document.get(drawn, ())])


def _lists(document: Any, required: Sequence[str], possible: frozenset[str]) -> None:
    if type(document) is not dict:
        raise CellError("PAYLOAD_INVALID", f"{shown(document)} is no object with {' and '.join(required)}")
    missing = [name for name in required if name not in document]
    if missing:
        raise CellError("PAYLOAD_INVALID", f"the document has no {' and no '.join(missing)}")
    strange = sorted(document.keys() - possible)
    if strange:
        raise CellError("PAYLOAD_INVALID", f"{strange[0]!r} is none of {', '.join(sorted(possible))}")
    for name, items in document.items():
        if type(items) is not list:
            raise CellError("PAYLOAD_INVALID", f"{name} must be a list, not {shown(items)}")
    if len(set(map(len, document.values()))) > 1:
        counts = ", ".join(f"{len(items)} {name}" for name, items in document.items())
        raise CellError("OBJECT_COUNT", f"each object has an entry in every list; here are {counts}")


def _known(texts: Any, classes: frozenset[str]) -> None:
    strangers = set(texts) - classes
    if strangers:
        raise CellError("UNKNOWN_CLASS", unknown_class(min(strangers), classes))


def _probabilities(numbers: Sequence[Any], where: str) -> None:
    if not set(map(type, numbers)) <= _NUMBER_TYPES:
        raise CellError("PAYLOAD_INVALID", f"{_other(numbers, _NUMBER_TYPES)} {where} is no number")
    if numbers and not 0 <= min(numbers) <= max(numbers) <= 1:
        outside = next(number for number in numbers if not 0 <= number <= 1)
        raise CellError("PROBABILITY_OUT_OF_RANGE", f"{shown(outside)} {where} is not between 0 and 1")


def _other(values: Sequence[Any], types: frozenset[type]) -> str:
    return shown(next(value for value in values if type(value) not in types))


# What each role draws. Each of these takes the drawings of many objects and refuses the first that is none.


def _boxes(boxes: Sequence[Any]) -> None:
    if not _are_lists_of_numbers(boxes, {4}):
        wrong = next(box for box in boxes if not _are_lists_of_numbers([box], {4}))
        raise CellError("GEOMETRY_INVALID", f"a box is [x, y, width, height], not {shown(wrong)}")
    if any(box[2] < 0 or box[3] < 0 for box in boxes):
        wrong = next(box for box in boxes if box[2] < 0 or box[3] < 0)
        raise CellError("GEOMETRY_INVALID", f"the box {shown(wrong)} has a negative width or height")


def _points(points: Sequence[Any]) -> None:
    _require_points(points, {2}, "a point is [x, y]")


def _keypoints(objects: Sequence[Any]) -> None:
    _require_lists(objects, 1, "keypoints are a list of [x, y] or [x, y, visibility]")
    _require_points(list(chain.from_iterable(objects)), {2, 3}, "a keypoint is [x, y] or [x, y, visibility]")


def _lines(lines: Sequence[Any]) -> None:
    _require_lists(lines, 2, "a line is a list of two points or more")
    _require_points(list(chain.from_iterable(lines)), {2}, "a point of a line is [x, y]")


def _masks(masks: Sequence[Any]) -> None:
    drawn = [mask for mask in masks if type(mask) is not str]
    if "" in masks:
        raise CellError("GEOMETRY_INVALID", "the URI of a mask is empty")
    _require_lists(drawn, 1, "a mask is a list of polygons, or the URI of a mask")
    polygons = list(chain.from_iterable(drawn))
    _require_lists(polygons, 3, "a polygon is a list of three points or more")
    _require_points(list(chain.from_iterable(polygons)), {2}, "a point of a polygon is [x, y]")


_DRAWN: dict[str, Callable[[Sequence[Any]], None]] = {
    "boxes": _boxes,
    "masks": _masks,
    "keypoints": _keypoints,
    "lines": _lines,
    "points": _points,
}
_BESIDE_BOXES = frozenset({"masks", "keypoints"})

DRAWN_BY_ROLE = {
    ColumnRole.CLASSES: "",
    ColumnRole.BOXES: "boxes",
    ColumnRole.MASKS: "masks",
    ColumnRole.KEYPOINTS: "keypoints",
    ColumnRole.LINES: "lines",
    ColumnRole.POINTS: "points",
}
"""The list each vision role asks for beside the classes."""


def _are_lists_of_numbers(items: Sequence[Any], lengths: set[int]) -> bool:
    return (
        set(map(type, items)) <= {list}
        and set(map(len, items)) <= lengths
        and set(map(type, chain.from_iterable(items))) <= _NUMBER_TYPES
    )


def _require_points(points: Sequence[Any], lengths: set[int], what: str) -> None:
    if not _are_lists_of_numbers(points, lengths):
        wrong = next(point for point in points if not _are_lists_of_numbers([point], lengths))
        raise CellError("GEOMETRY_INVALID", f"{what}, not {shown(wrong)}")


def _require_lists(items: Sequence[Any], least: int, what: str) -> None:
    for item in items:
        if type(item) is not list or len(item) < least:
            raise CellError("GEOMETRY_INVALID", f"{what}, not {shown(item)}")
