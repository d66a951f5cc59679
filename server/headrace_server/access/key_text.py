"""The text of a key, and what is kept of it.

    hr_<id, 12 characters>_<secret, 52><checksum, 7>

The id is public: it finds the key's row. The secret is 32 bytes from the system's generator, in base32, so that a
double click takes the whole text. The prefix lets secret scanners find a key that was published by mistake, the
checksum lets a mistyped one be refused without asking the database.

Kept is a BLAKE2b hash of the secret, keyed with the id. A slow hash (bcrypt, argon2) protects secrets that people
choose by making each guess dear; of 2^256 secrets none is guessed at any speed, and a slow hash would only make each
call dear. The id as the hash's key ties a hash to its row: copied to another it opens nothing.
"""

import hashlib
import re
import secrets
import zlib
from base64 import b32encode
from dataclasses import dataclass, field
from hmac import compare_digest

ID_CHARACTERS = 12
SECRET_BYTES = 32
PERSON = b"headrace api key"  # BLAKE2b's own word for "hashes of this purpose"; 16 bytes at most

_SECRET_CHARACTERS = 52
_SHAPE = re.compile(rf"hr_([a-z2-7]{{{ID_CHARACTERS}}})_([a-z2-7]{{{_SECRET_CHARACTERS}}})([a-z2-7]{{7}})")


@dataclass(frozen=True)
class KeyText:
    """A key as its holder has it."""

    id: str
    secret: str = field(repr=False)

    def shown(self) -> str:
        """Return the whole text: for the holder's eyes, once."""
        return f"hr_{self.id}_{self.secret}{_checksum(self.id, self.secret)}"

    def hash(self) -> bytes:
        """Return what is kept of it."""
        return hashlib.blake2b(self.secret.encode(), digest_size=32, key=self.id.encode(), person=PERSON).digest()

    def opens(self, kept: bytes) -> bool:
        """Tell whether this is the key of which `kept` was kept, in the same time whatever the difference is."""
        return compare_digest(self.hash(), kept)


def new_key_text() -> KeyText:
    """Make a key that nobody has had."""
    return KeyText(_base32(secrets.token_bytes(8))[:ID_CHARACTERS], _base32(secrets.token_bytes(SECRET_BYTES)))


def parse(text: str) -> KeyText | None:
    """Return the key that a text is; None when it is none, or mistyped."""
    matched = _SHAPE.fullmatch(text)
    if matched is None or matched[3] != _checksum(matched[1], matched[2]):
        return None
    return KeyText(matched[1], matched[2])


def _checksum(key_id: str, secret: str) -> str:
    return _base32(zlib.crc32(f"{key_id}_{secret}".encode()).to_bytes(4))


def _base32(value: bytes) -> str:
    return b32encode(value).decode().rstrip("=").lower()
