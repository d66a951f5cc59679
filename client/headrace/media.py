"""Media an event is about, by reference or as small bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """The image, sound or document that a prediction was made of.

    Attributes:
        uri: Where it is, e.g. "s3://bucket/image.png". At most 2,048 bytes.
        content_type: Its type, e.g. "image/png".
        height: Pixels.
        width: Pixels.
        sha256: Hash of its bytes, 64 hex digits.
        data: The bytes themselves, where they are few: at most 256 KiB.
    """

    uri: str | None = None
    content_type: str | None = None
    height: int | None = None
    width: int | None = None
    sha256: str | None = None
    data: bytes | None = field(default=None, repr=False)

    def cells(self) -> Mapping[str, object]:
        """Return the columns that hold it."""
        return {
            "media_uri": self.uri,
            "media_content_type": self.content_type,
            "media_height": self.height,
            "media_width": self.width,
            "media_sha256": self.sha256,
            "media_bytes": self.data,
        }
