"""What was found in an image is sent as one document, from numpy too."""

from __future__ import annotations

import json

import numpy as np

from headrace.encoding import wire
from headrace.encoding.columns import add_column
from headrace.vision import Classification, Detection, Found, Keypoints, Lines, Points, Segmentation

POLYGON = [[0, 0], [1, 0], [1, 1]]


def sent(*values: object) -> list[object]:
    """The documents of a column of these values."""
    columns = wire.ColumnBatch().columns
    add_column(columns, "found", values)
    (column,) = columns
    assert column.WhichOneof("values") == "json"
    return json.loads("[" + column.json.data.decode().replace("}{", "},{") + "]")  # type: ignore[no-any-return]


def test_each_is_its_lists_and_classes_are_texts() -> None:
    found: dict[str, Found] = {
        "{}": Classification(classes=[2], scores=[0.8]),
        "boxes": Detection(classes=["cat"], boxes=[[1, 2, 3, 4]]),
        "masks": Segmentation(classes=["cat"], masks=[[POLYGON]], boxes=[[1, 2, 3, 4]]),
        "keypoints": Keypoints(classes=["cat"], keypoints=[[[1, 2, 1]]]),
        "lines": Lines(classes=["cat"], lines=[[[1, 2], [3, 4]]]),
        "points": Points(classes=["cat"], points=[[1, 2]]),
    }
    assert sent(*found.values()) == [
        {"classes": ["2"], "scores": [0.8]},
        {"classes": ["cat"], "boxes": [[1, 2, 3, 4]]},
        {"classes": ["cat"], "masks": [[POLYGON]], "boxes": [[1, 2, 3, 4]]},
        {"classes": ["cat"], "keypoints": [[[1, 2, 1]]]},
        {"classes": ["cat"], "lines": [[[1, 2], [3, 4]]]},
        {"classes": ["cat"], "points": [[1, 2]]},
    ]


def test_a_models_own_arrays_are_taken_as_they_are() -> None:
    boxes = np.array([[1.5, 2.0, 3.0, 4.0]])
    found = Detection(classes=np.array([7]), scores=np.array([0.5]), boxes=boxes)  # type: ignore[arg-type]
    assert sent(found) == [{"classes": ["7"], "scores": [0.5], "boxes": [[1.5, 2.0, 3.0, 4.0]]}]


def test_dicts_and_detections_share_a_column() -> None:
    assert sent(Points(classes=[], points=[]), None, {"classes": [], "points": []}) == [
        {"classes": [], "points": []},
        {"classes": [], "points": []},
    ]
