"""Messages of one partition → batches, each with the offset up to which it stands.

In: consecutive messages. Out: spans. A span is a batch and the offset behind it; offsets that a topic leaves out
(compaction, transaction markers) and messages without a value lie within the span that follows them. A message that
cannot be read is a span of its own, with its fault, so that it goes to the dead letters and takes no other with it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import orjson
from google.protobuf.message import DecodeError

from headrace.v1 import batch_pb2

Form = Literal["json", "batch"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Message:
    """One message as the broker keeps it.

    Attributes:
        offset: Its place in the partition.
        value: Its bytes; None for a tombstone.
        timestamp_ms: When it was produced, in milliseconds since 1970; None when the topic does not say.
    """

    offset: int
    value: bytes | None
    timestamp_ms: int | None = None


@dataclass(frozen=True)
class Span:
    """A batch of consecutive messages.

    Attributes:
        batch: Their rows; without a form where there are none.
        next_offset: The offset behind the last of them.
        fault: Why its only message cannot be read; empty: it can.
    """

    batch: batch_pb2.Batch
    next_offset: int
    fault: str = ""


@dataclass(frozen=True)
class Reading:
    """How messages are read.

    Attributes:
        form: "json": an object or an array of objects a message; "batch": a serialized headrace.v1.Batch a message.
        kind: Kind of JSON rows.
        model: Model of JSON rows, and of batches that name none.
        model_version: Version of JSON rows, and of batches that name none.
        max_rows: Most rows in a batch made of JSON messages.
        max_bytes: Most bytes in it; a larger message is a batch of its own.
    """

    form: Form
    kind: batch_pb2.RecordKind.ValueType
    model: str
    model_version: str
    max_rows: int
    max_bytes: int


def spans_of(place: str, messages: Sequence[Message], reading: Reading) -> Iterator[Span]:
    """Yield consecutive messages as spans; together they stand for every offset up to the last.

    Args:
        place: Topic and partition as people write them, for ids and faults.
        messages: In the order of their offsets.
        reading: How they are read.
    """
    if not messages:
        return
    if reading.form == "batch":
        yield from _batches(place, messages, reading)
    else:
        yield from _JsonSpans(place, reading).of(messages)


def _batches(place: str, messages: Sequence[Message], reading: Reading) -> Iterator[Span]:
    silent = 0
    for message in messages:
        silent = message.offset + 1
        if message.value is None:
            continue
        try:
            batch = batch_pb2.Batch.FromString(message.value)
        except DecodeError:
            batch = batch_pb2.Batch()
        if batch.WhichOneof("form") is None:
            fault = f"{place}/{message.offset}: the message is no headrace.v1.Batch with rows"
            yield Span(_unreadable(message.value, reading), silent, fault)
        else:
            batch.model = batch.model or reading.model
            batch.model_version = batch.model_version or reading.model_version
            yield Span(batch, silent)
        silent = 0
    if silent:
        yield Span(batch_pb2.Batch(), silent)


class _JsonSpans:
    """Gathers the rows of JSON messages into batches."""

    def __init__(self, place: str, reading: Reading) -> None:
        self._place = place
        self._reading = reading
        self._texts: list[bytes] = []
        self._rows = 0
        self._bytes = 0
        self._next_offset = 0

    def of(self, messages: Sequence[Message]) -> Iterator[Span]:
        """Yield the messages as spans."""
        for message in messages:
            rows = None if message.value is None else _rows_in(message.value)
            if message.value is not None and rows is None:
                yield from self._sealed()
                fault = f"{self._place}/{message.offset}: the message is neither a JSON object nor an array of objects"
                yield Span(_unreadable(message.value, self._reading), message.offset + 1, fault)
                continue
            if message.value is not None and rows:
                text = self._text(message, message.value, rows)
                if self._rows + len(rows) > self._reading.max_rows or self._bytes + len(text) > self._reading.max_bytes:
                    yield from self._sealed()
                self._texts.append(text)
                self._rows += len(rows)
                self._bytes += len(text) + 1
            self._next_offset = message.offset + 1
        yield from self._sealed()

    def _text(self, message: Message, value: bytes, rows: list[dict[str, object]]) -> bytes:
        """Return the rows as JSON without brackets; an event's missing id and time are its message's own."""
        if self._reading.kind == batch_pb2.RECORD_KIND_EVENTS and not all(map(_has_keys, rows)):
            for number, row in enumerate(rows):
                if not row.get("event_id"):
                    alone = len(rows) == 1
                    row["event_id"] = f"{self._place}/{message.offset}" + ("" if alone else f"/{number}")
                if row.get("event_time") is None and message.timestamp_ms is not None:
                    row["event_time"] = (_EPOCH + timedelta(milliseconds=message.timestamp_ms)).isoformat()
            return orjson.dumps(rows)[1:-1]
        plain = value.strip()
        return plain[1:-1] if plain.startswith(b"[") else plain

    def _sealed(self) -> Iterator[Span]:
        if not self._next_offset:
            return
        batch = batch_pb2.Batch()
        if self._texts:
            reading = self._reading
            batch = batch_pb2.Batch(kind=reading.kind, model=reading.model, model_version=reading.model_version)
            batch.json.rows = b"[" + b",".join(self._texts) + b"]"
        yield Span(batch, self._next_offset)
        self._texts, self._rows, self._bytes, self._next_offset = [], 0, 0, 0


def _rows_in(value: bytes) -> list[dict[str, object]] | None:
    """Return the rows of a message, or None when it has another shape."""
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    rows = [document] if isinstance(document, dict) else document
    return rows if isinstance(rows, list) and all(isinstance(row, dict) for row in rows) else None


def _has_keys(row: dict[str, object]) -> bool:
    return bool(row.get("event_id")) and row.get("event_time") is not None


def _unreadable(value: bytes, reading: Reading) -> batch_pb2.Batch:
    """Return the batch that a message which cannot be read is kept as."""
    batch = batch_pb2.Batch(kind=reading.kind, model=reading.model, model_version=reading.model_version)
    batch.json.rows = value
    return batch
