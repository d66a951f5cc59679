"""Ids made of content: equal features, equal id, in every language.

The canonical form is JSON as RFC 8785 (JCS) writes it, with texts in NFC and whole numbers always in plain digits:

- object keys sorted by their UTF-16 code units, no spaces;
- a number with an integer value is its decimal digits, whatever its type and size: 1 ≡ 1.0, −0 ≡ 0, 1e22 is a one and
  22 zeros; any other number as ECMAScript writes the double (0.1, 1e-7, 1.5e-9);
- true and false are no numbers; NaN and infinities are refused;
- a datetime is its UTC time with six decimals and "Z"; a naive one is UTC.

The id is the UUIDv8 made of the first 16 bytes of the SHA-256 of that text in UTF-8. Test vectors for other languages
are in docs/sdk.md.
"""

from __future__ import annotations

import hashlib
import json
import math
import numbers
import unicodedata
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime


def content_id(content: Mapping[str, object]) -> str:
    """Return the id of `content`, e.g. of the features of an event.

    Raises:
        ValueError: It holds NaN or an infinity, or two keys that are one in NFC.
        TypeError: It holds a value that has no canonical form.
    """
    digest = bytearray(hashlib.sha256(canonical_json(content).encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80  # version 8: custom
    digest[8] = digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))


def canonical_json(value: object) -> str:
    """Return the canonical text of a value; raises as content_id."""
    if value is None or isinstance(value, bool) or type(value).__name__ in {"bool_", "bool"}:
        return "null" if value is None else "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(unicodedata.normalize("NFC", value), ensure_ascii=False)
    if isinstance(value, numbers.Real):
        return _number(value)
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return f'"{moment.strftime("%Y-%m-%dT%H:%M:%S.%f")}Z"'
    if isinstance(value, Mapping):
        return _object(value)
    plain = value.tolist() if hasattr(value, "tolist") else value  # numpy arrays
    if isinstance(plain, Sequence) and not isinstance(plain, bytes | bytearray):
        return f"[{','.join(map(canonical_json, plain))}]"
    raise TypeError(f"{type(value).__name__} has no canonical form")


def _object(members: Mapping[str, object]) -> str:
    named = {unicodedata.normalize("NFC", key): value for key, value in members.items()}
    if len(named) != len(members):
        raise ValueError("two keys are the same in NFC")
    ordered = sorted(named.items(), key=lambda member: member[0].encode("utf-16-be", "surrogatepass"))
    return f"{{{','.join(f'{canonical_json(key)}:{canonical_json(value)}' for key, value in ordered)}}}"


def _number(value: numbers.Real) -> str:
    if isinstance(value, numbers.Integral):
        return str(int(value))
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} has no canonical form")
    if number.is_integer():
        return str(int(number))
    mantissa, _, exponent = repr(number).partition("e")
    if exponent and int(exponent) >= -6:  # Python writes exponents from 1e-5 on, ECMAScript from 1e-7 on
        return format(number, f".{len(mantissa.replace('.', '').lstrip('-')) - 1 - int(exponent)}f")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa
