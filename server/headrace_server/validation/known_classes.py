"""Which class a cell names, and whether the model has it."""

from collections.abc import Collection
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from headrace_server.validation.casting import as_mask
from headrace_server.validation.cell_error import shown
from headrace_server.validation.rejections import Rejections

_NAMED = 10


@dataclass(frozen=True)
class KnownClasses:
    """Refuses cells whose class is none of the model's; numbers and truth values are classes by their text.

    Attributes:
        classes: The model's, in its order.
    """

    classes: tuple[str, ...]

    def __call__(self, cells: pa.Array, name: str, rejections: Rejections) -> None:
        """Apply it to a column."""
        texts = _as_texts(cells)
        unknown = as_mask(pc.and_(texts.is_valid(), pc.invert(pc.is_in(texts, value_set=pa.array(self.classes)))))
        if unknown.any():
            stranger = texts[int(unknown.argmax())].as_py()
            rejections.add("UNKNOWN_CLASS", name, unknown, f"{name}: {unknown_class(stranger, self.classes)}")


def unknown_class(stranger: str, classes: Collection[str]) -> str:
    """Return what is wrong with a class that is none of the model's."""
    some = ", ".join(sorted(classes)[:_NAMED]) + (" …" if len(classes) > _NAMED else "")
    return f"{shown(stranger)} is none of the model's classes ({some}); classes are added with UpdateModel"


def _as_texts(cells: pa.Array) -> pa.Array:
    if not pa.types.is_floating(cells.type):
        return cells.cast(pa.string())
    whole = pc.and_(pc.is_finite(cells), pc.equal(pc.floor(cells), cells))
    inside = pc.and_(whole, pc.less(pc.abs(cells), 2.0**53))
    numbers = pc.if_else(inside, cells, pa.scalar(0.0)).cast(pa.int64())
    return pc.if_else(inside, numbers.cast(pa.string()), cells.cast(pa.string()))
