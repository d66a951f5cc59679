"""Ids made of content: equal features, equal id, in every language.

The canonical form is JSON as RFC 8785 (JCS) writes it, with texts in NFC and whole numbers always in plain digits:

- object keys sorted by their UTF-16 code units, no spaces;
- a number with an integer value is its decimal digits, whatever its type and size: 1 ≡ 1.0, −0 ≡ 0, 1e22 is a one and
  22 zeros; any other number as ECMAScript writes the double (0.1, 1e-7, 1.5e-9);
- true and false are no numbers; NaN and infinities are refused;
- a datetime is its UTC time with six decimals and "Z"; a naive one is UTC.

The id is the UUIDv8 made of the first 16 bytes of the SHA-256 of that text in UTF-8. docs/content-id.md is the
specification for other languages, with vectors to test them by.
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

from headrace.errors import InvalidArgumentError
from headrace.times import TimeLike, as_datetime


def content_id(
    content: Mapping[str, object], *, entity: object = None, time: TimeLike | None = None, ordinal: int = 0
) -> str:
    """Return the id of `content`, e.g. of the features of an event.

    Args:
        content: The features, or what else makes the event what it is.
        entity: Whose event it is, e.g. a customer's id: equal features of two customers are two events.
        time: When it happened: equal features at two times are two events.
        ordinal: 0 for the first event of this content, 1 for the next one that is not the same event.

    Raises:
        InvalidArgumentError: It holds a value that has no canonical form, such as NaN or an infinity, or two keys that
            are one in NFC; `time` is no time, or the ordinal negative.
    """
    if ordinal < 0:
        raise InvalidArgumentError(f"an ordinal counts from 0, not {ordinal}")
    text = canonical_json(content)
    if entity is not None or time is not None or ordinal:
        moment = None if time is None else _moment(time)
        text = f"[{text},{canonical_json(entity)},{canonical_json(moment)},{ordinal}]"
    digest = bytearray(hashlib.sha256(text.encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80  # version 8: custom
    digest[8] = digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))


def _moment(time: TimeLike) -> datetime:
    try:
        return as_datetime(time)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(str(error)) from error


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
    raise InvalidArgumentError(f"{type(value).__name__} has no canonical form")


def _object(members: Mapping[str, object]) -> str:
    named = {unicodedata.normalize("NFC", key): value for key, value in members.items()}
    if len(named) != len(members):
        raise InvalidArgumentError("two keys are the same in NFC")
    ordered = sorted(named.items(), key=lambda member: member[0].encode("utf-16-be", "surrogatepass"))
    return f"{{{','.join(f'{canonical_json(key)}:{canonical_json(value)}' for key, value in ordered)}}}"


def _number(value: numbers.Real) -> str:
    if isinstance(value, numbers.Integral):
        return str(int(value))
    number = float(value)
    if not math.isfinite(number):
        raise InvalidArgumentError(f"{number} has no canonical form")
    if number.is_integer():
        return str(int(number))
    mantissa, _, exponent = repr(number).partition("e")
    if exponent and int(exponent) >= -6:  # Python writes exponents from 1e-5 on, ECMAScript from 1e-7 on
        return format(number, f".{len(mantissa.replace('.', '').lstrip('-')) - 1 - int(exponent)}f")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa
