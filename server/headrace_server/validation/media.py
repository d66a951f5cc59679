"""What is asked of the facts about an event's media: forms that any reader of them relies on."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from headrace_server.validation.casting import as_mask
from headrace_server.validation.number_checks import AtLeast
from headrace_server.validation.rejections import Rejections
from headrace_server.validation.row_schema import CellsCheck


@dataclass(frozen=True)
class Form:
    """Refuses texts that do not have a form.

    Attributes:
        pattern: The form, as RE2 takes it.
        what: The form in words.
    """

    pattern: str
    what: str

    def __call__(self, cells: pa.Array, name: str, rejections: Rejections) -> None:
        """Apply it to a column."""
        wrong = as_mask(pc.invert(pc.match_substring_regex(cells, self.pattern)))
        if wrong.any():
            example = cells[int(wrong.argmax())].as_py()
            rejections.add("MEDIA_INVALID", name, wrong, f"{name} must be {self.what}, not {example[:80]!r}")


MEDIA_CHECKS: Mapping[str, CellsCheck] = {
    "media_content_type": Form(r"^[\w.+-]+/[\w.+-]+(;.*)?$", 'a type and subtype, such as "image/png"'),
    "media_height": AtLeast(1, "MEDIA_INVALID"),
    "media_width": AtLeast(1, "MEDIA_INVALID"),
    "media_sha256": Form("^[0-9a-fA-F]{64}$", "64 hex digits"),
}
"""Check of each system column that has one."""
