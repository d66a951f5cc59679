"""Cells that are wrong, or look it: a table of what a row may hold, and what is said of it.

For the model of support/wire_client.py. A cell of POISON refuses its row for the reason it stands under; one of
HARMLESS is stored as it is. BROKEN are texts that are no rows at all.
"""

from __future__ import annotations

from typing import Any

NESTED: Any = "x"
for _ in range(200):
    NESTED = [NESTED]

NO_TIMES = [
    *("soon", "", "now", "epoch", "infinity", "-infinity", "2013-13-01", "2013-02-30T00:00:00Z", "-0001-01-01"),
    *("2013-01-01T25:00:00Z", "2013-01-01T00:00:60Z", "10000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
    *("294277-01-01T00:00:00Z", "2013-01-01T00:00:00+99:00", "\0", "１３", True, [], {}),
]
NO_TEXTS = [0, 1, -1, 1.5, True, False, [], ["a"], {}, {"a": "b"}]
BEYOND_64_BITS = [1e19, -1e19, 1e300, -1e300, 2**63, 2**64 - 1]

POISON: dict[str, dict[str, list[Any]]] = {
    "dep_delay": {
        "WRONG_TYPE": [
            *("abc", "", "1.5x", "0x10", "1,5", "∞", "１２", "NaN", "Infinity", "-inf", " 1 ", "1e400", "\0", "1"),
            *(True, [], [1], {}, {"a": 1}),
        ]
    },
    "distance": {
        "WRONG_TYPE": [
            *("abc", "", "1.5", "1e3", "0x10", "9223372036854775808", "１２", " 1", "\0"),
            *(1.5, -0.5, 1e-300, True, False, [], [1], {}),
        ],
        "VALUE_OUT_OF_RANGE": BEYOND_64_BITS,
    },
    "diverted": {"WRONG_TYPE": ["yes", "", "TRUE", "t", "1", "\0", 0, 1, 2, -1, 0.0, 1.5, [], {}]},
    "carrier": {"WRONG_TYPE": NO_TEXTS, "NUL_IN_TEXT": ["U\0", "\0"], "TEXT_TOO_LONG": ["x" * 70_000]},
    "note": {"WRONG_TYPE": NO_TEXTS, "NUL_IN_TEXT": ["a\0b", "\0", "\0" * 1_000]},
    "booked_at": {"WRONG_TYPE": NO_TIMES, "VALUE_OUT_OF_RANGE": [*BEYOND_64_BITS, 1e15, 1.7e308]},
    "embedding": {
        "VECTOR_DIMENSION": [[], [1], [1, 2], [1, 2, 3, 4], [0] * 10_000],
        "WRONG_TYPE": [
            *([1, 2, "x"], [1, 2, None], [1, 2, [3]], [[1, 2, 3]], [True, False, True]),
            *("abc", "", "[1,2,3]", 1, True, {}, {"0": 1}),
        ],
        "VALUE_OUT_OF_RANGE": [[1e300, 0, 0], [0, -1e39, 0]],
    },
    "stops": {
        "WRONG_TYPE": [["a", 1], ["a", None], [["a"]], [{}], "EWR", "", "{EWR}", 1, True, {}, {"a": 1}],
        "NUL_IN_TEXT": [["a\0"], ["a", "\0"]],
    },
    "raw": {
        "NUL_IN_TEXT": ["\0", ["\0"], {"a": "\0"}, {"\0": 1}, {"a": {"b": ["\0"]}}],
        "INVALID_JSON": [NESTED, {"a": NESTED}],
    },
    "metadata": {"NUL_IN_TEXT": [{"\0": 1}, {"a": "\0"}], "INVALID_JSON": [NESTED, {"a": NESTED}]},
    "event_id": {
        "EVENT_ID_REQUIRED": [""],
        "NUL_IN_TEXT": ["\0", "e\0e"],
        "EVENT_ID_TOO_LONG": ["e" * 129, "é" * 65, "😀" * 33, "x" * 1_000_000],
        "WRONG_TYPE": NO_TEXTS,
    },
    "event_time": {
        "WRONG_TYPE": NO_TIMES,
        "EVENT_TIME_OUT_OF_RANGE": [
            *(0, -1, 1, 631_151_999, 1e18, -1.7e308, *BEYOND_64_BITS, "1969-12-31T23:59:59Z", "1989-12-31T23:59:59Z"),
            *("2150-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"),
        ],
    },
    "tags": {
        "WRONG_TYPE": ["canary", 1, {}, [1], [None], [[]]],
        "NUL_IN_TEXT": [["\0"]],
        "TEXT_TOO_LONG": [["t" * 300]],
    },
    "source": {"WRONG_TYPE": NO_TEXTS, "NUL_IN_TEXT": ["\0"], "TEXT_TOO_LONG": ["s" * 257, "é" * 129]},
    "latency_ms": {"WRONG_TYPE": ["fast", "1", "NaN", True, [], {}]},
    "trace_id": {"WRONG_TYPE": [1, []], "NUL_IN_TEXT": ["\0"], "TEXT_TOO_LONG": ["a" * 1_000]},
    "media_width": {"WRONG_TYPE": [1.5, "x"], "MEDIA_INVALID": [0, -1]},
    "media_sha256": {"WRONG_TYPE": [1], "NUL_IN_TEXT": ["\0"], "MEDIA_INVALID": ["", "zz"]},
    "observed_time": {"IMMUTABLE_COLUMN": [1_356_998_400, "2013-01-01T00:00:00Z"]},
    "late": {"LABEL_IN_EVENT": [True, "x"]},
    **{
        name: {"UNKNOWN_COLUMN": [1]}
        for name in ("wind", "\0", "", "Robert'); DROP TABLE main.students; --", "pg_catalog", "event_id ", "EVENT_ID")
    },
    **{name: {"UNKNOWN_COLUMN": [1]} for name in ("__proto__", "chunk_id", "ctid", "tableoid", "\u202e", "😀")},
}

HARMLESS: dict[str, list[Any]] = {
    "dep_delay": [1e308, -1e308, 5e-324, 2**53, 0],
    "distance": [2**63 - 1, -(2**63), 1.0, -0.0],
    "carrier": ["", " ", "\ufeffUA", "\u202eAU", "e\u0301", "😀"],
    "note": [
        *("", "\ufffe", "\uffff", "\u200b", "\U0010ffff", "\x01\x1b[31m", "\\", "\\x00", "\\.", "\\N", "\t\r\n", "$1"),
        *("'; DROP TABLE main.flight_delay; --", "%s", "{}", "n" * 60_000, "مرحبا"),
    ],
    "embedding": [[1, 2, 2**64 - 1], [0.0, -0.0, 1e-45], [3e38, -3e38, 1]],
    "stops": [[], ["", "'"], ["{}", "NULL", '"'], ["a"] * 2_000],
    "event_id": [" ", "\t", "e\nf", "e" * 128, "😀" * 32, "\u202ede", "'; DROP SCHEMA main CASCADE; --", "../../x"],
}

BROKEN: list[bytes] = [
    *(b"", b" ", b"null", b"1", b'"x"', b"true", b"{}", b'{"event_id":"a"}', b"[", b"]", b"[1]", b"[null]", b"[[]]"),
    *(b'["x"]', b"[{]", b"[{}", b"[{},]", b"[{}]x", b"[{}][{}]", b"[{'a':1}]", b"[{a:1}]", b'[{"a":}]', b'[{"a":1,}]'),
    *(
        b'[{"a":NaN}]',
        b'[{"a":-Infinity}]',
        b'[{"a":01}]',
        b'[{"a":+1}]',
        b'[{"a":.5}]',
        b'[{"a":"\n"}]',
        b'[{"a":"\\x"}]',
    ),
    *(
        b'[{"a":"\xff"}]',
        b'[{"a":"\xed\xa0\x80"}]',
        b'[{"a":"\\ud800"}]',
        b"\xef\xbb\xbf[{}]",
        b"[" * 10_000,
        b"\x00" * 64,
    ),
    *(b'[{"a":' * 10_000, b'[{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}]", b"[\xf0\x9f\x98]", b"\x1f\x8b\x08\x00"),
]
