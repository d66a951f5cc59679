"""From a batch on the wire to a batch that waits for its commit: decode, find the model, validate.

In: a Batch, from a stream, a unary call or the HTTP door. Out: a PendingBatch with its good rows as columns and a
verdict for each bad one. Whatever can be said about a readable batch is said as verdicts: an unknown model, bytes that
cannot be decoded, a limit that is passed reject all its rows with one reason, keep them as dead letters and consume its
seq. So a poisoned batch never wedges its producer.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ParamSpec, TypeVar

import numpy as np
import pyarrow as pa

from headrace.v1 import batch_pb2
from headrace_server.batching.batch import DeadLetter, Origin, PendingBatch
from headrace_server.copying.landing import Landing
from headrace_server.copying.record_kind import RecordKind
from headrace_server.dead_letters.letters import letter_of_batch, letters_of_rejections
from headrace_server.decoding.decode import decode
from headrace_server.decoding.decoded import DecodedRows, UndecodableError
from headrace_server.errors import HeadraceError, RetryableError
from headrace_server.intake.fitting import Fitting, Models
from headrace_server.intake.inference import infer_columns
from headrace_server.intake.limits import Limits
from headrace_server.models.names import MAX_WRITTEN_CHARACTERS
from headrace_server.models.schema import ColumnKind, ModelSchema
from headrace_server.validation.rejections import Rejections
from headrace_server.validation.row_schema import Moment
from headrace_server.validation.validate import ValidatedRows, validate

# Smaller batches are decoded where they stand; for larger ones the event loop must not wait. Columns of 64 KiB take
# half a millisecond, most of it whatever their size; to hand the interpreter's lock to a thread and back takes longer.
INLINE_BYTES = 16 * 1024
INLINE_COLUMN_BYTES = 64 * 1024
INLINE_LETTERS = 20
MOST_BATCHES_OF_LETTERS = 2  # a batch of more rows than that many full ones is kept as one letter
MOST_NAMES_CHARACTERS = 1024
MAX_VERSION_BYTES = 128

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")


@dataclass(frozen=True)
class Received:
    """A batch as it arrived.

    Attributes:
        origin: Whose it is.
        batch: The batch.
        size_bytes: Its size on the wire.
        epoch: Epoch of the session; 0 for a request.
        payload_hash: SHA-256 of a request's batch; empty for a stream.
        at: When it had arrived, UTC.
        observed: When its rows were first received, UTC.
    """

    origin: Origin
    batch: batch_pb2.Batch
    size_bytes: int
    epoch: int
    payload_hash: bytes
    at: datetime
    observed: datetime

    @property
    def is_heavy(self) -> bool:
        """Whether the event loop must not wait for work on it."""
        return self.size_bytes > (INLINE_COLUMN_BYTES if self.batch.HasField("columns") else INLINE_BYTES)


class RefusedBatchError(Exception):
    """Every row of the batch is rejected, for one reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class TakingIn:
    """Takes batches in for all streams and calls of the process.

    Args:
        kinds: The record kinds that are served.
        models: Where models come from, and where a batch may make or grow one.
        limits: Of batches.
    """

    def __init__(self, kinds: Mapping[int, RecordKind], models: Models, limits: Limits) -> None:
        self._kinds = kinds
        self._models = models
        self._limits = limits
        self._fitting = Fitting(models)

    async def take_in(
        self,
        origin: Origin,
        batch: batch_pb2.Batch,
        size_bytes: int,
        *,
        epoch: int = 0,
        payload_hash: bytes = b"",
        denial: str = "",
        observed: datetime | None = None,
    ) -> PendingBatch:
        """Decode and validate a batch.

        Args:
            origin: Whose it is.
            batch: The batch.
            size_bytes: Its size on the wire.
            epoch: Epoch of the session; 0 for a request.
            payload_hash: SHA-256 of a request's batch; empty for a stream.
            denial: Why the sender may not send rows of this kind; empty: it may.
            observed: When its rows were first received. Default: now.

        Raises:
            DatabaseUnavailableError: The registry has to be asked about its model, and does not answer.
        """
        now = datetime.now(UTC)
        received = Received(origin, batch, size_bytes, epoch, payload_hash, now, observed or now)
        rows: DecodedRows | None = None
        try:
            rows = await _run(received.is_heavy, decode, batch)
            if batch.WhichOneof("form") is None:
                return _pending(received, None, _nothing(Rejections(0)), [])
            if denial:
                raise RefusedBatchError("SCOPE_DENIED", denial)
            kind = self._check_whole(received, rows)
            model = await self._model_for(received, rows)
            fitted = await self._fitting.fit(kind, model, rows)
            if fitted is None:
                reason, what = kind.takes_none
                raise RefusedBatchError(reason, f"model {model.name!r} {what}")
            model, schema = fitted
            moment = Moment(received.observed, batch.model_version)
            validated = await _run(received.is_heavy, validate, rows, schema, moment)
            if len(validated.places) and (tables := kind.lacks(model)):
                model = await self._with_tables(model, tables)
        except UndecodableError as error:
            rejections = Rejections(0)
            rejections.note(error.reason, str(error))
            letter = await _run(received.is_heavy, _letter_of_all, batch, error.reason, str(error))
            return _pending(received, None, _nothing(rejections), [letter])
        except RefusedBatchError as error:
            assert rows is not None  # noqa: S101 - only what was decoded is refused
            rejections = Rejections(rows.row_count)
            rejections.add_all(error.reason, "", str(error))
            letters = await self._letters(received, rows, rejections)
            return _pending(received, None, _nothing(rejections), letters)
        letters = await self._letters(received, rows, validated.rejections)
        return _pending(received, kind.landing(model), validated, letters, schema.json_columns)

    def refuse(
        self, origin: Origin, batch: batch_pb2.Batch, size_bytes: int, fault: str, *, epoch: int
    ) -> PendingBatch:
        """A batch that its door could not read: kept as one dead letter, for the reason UNDECODABLE.

        Args:
            origin: Whose it is.
            batch: What can be said of it.
            size_bytes: Its size on the wire.
            fault: What is wrong with it.
            epoch: Epoch of the session.
        """
        now = datetime.now(UTC)
        received = Received(origin, batch, size_bytes, epoch, b"", now, now)
        rejections = Rejections(0)
        rejections.note("UNDECODABLE", fault)
        letter = _letter_of_all(batch, "UNDECODABLE", fault)
        return _pending(received, None, _nothing(rejections), [letter])

    def _check_whole(self, received: Received, rows: DecodedRows) -> RecordKind:
        """Check what concerns the batch as a whole, before its model is looked for."""
        limits, size_bytes = self._limits, received.size_bytes
        if size_bytes > limits.max_batch_bytes:
            text = f"{size_bytes} bytes; at most {limits.max_batch_bytes} are taken: send smaller batches"
            raise RefusedBatchError("BATCH_TOO_LARGE", text)
        if rows.row_count > limits.max_batch_rows:
            text = f"{rows.row_count} rows; at most {limits.max_batch_rows} are taken: send smaller batches"
            raise RefusedBatchError("BATCH_TOO_LARGE", text)
        if rows.row_count == 0:
            raise RefusedBatchError("EMPTY_BATCH", "the batch has a form but no rows")
        version = received.batch.model_version
        if len(version.encode()) > MAX_VERSION_BYTES:
            raise RefusedBatchError("TEXT_TOO_LONG", f"model_version is longer than {MAX_VERSION_BYTES} bytes")
        if "\0" in version:
            raise RefusedBatchError("NUL_IN_TEXT", "model_version holds NUL (U+0000), which PostgreSQL cannot store")
        kind = self._kinds.get(received.batch.kind)
        if kind is None:
            raise RefusedBatchError("UNKNOWN_KIND", f"this service takes no rows of kind {received.batch.kind}")
        return kind

    async def _letters(self, received: Received, rows: DecodedRows, rejections: Rejections) -> list[DeadLetter]:
        """A letter for each refused row, or one for the whole batch where a letter a row would be out of proportion."""
        if not rejections:
            return []
        batch = received.batch
        names = len(batch.model) + len(batch.model_version)  # stand in every letter
        if names > MOST_NAMES_CHARACTERS or rows.row_count > MOST_BATCHES_OF_LETTERS * self._limits.max_batch_rows:
            first = rejections.groups[0]
            return [await _run(received.is_heavy, _letter_of_all, batch, first.reason, first.message)]
        many = int(rejections.mask().sum()) > INLINE_LETTERS
        return await _run(many or received.is_heavy, letters_of_rejections, batch, rows, rejections)

    async def _model_for(self, received: Received, rows: DecodedRows) -> ModelSchema:
        project, name = received.origin.project, received.batch.model
        model = self._models.peek(project, name) or await self._models.get(project, name)
        if model is None and received.batch.kind == batch_pb2.RECORD_KIND_EVENTS:
            try:
                model = await self._models.infer(project, name, infer_columns(rows.columns, ColumnKind.FEATURE))
            except RetryableError:
                raise
            except HeadraceError as error:
                raise RefusedBatchError("UNKNOWN_MODEL", error.message) from error
        if model is None:
            text = f"no model {name!r} in project {project!r}: register it, or let the service infer models"
            raise RefusedBatchError("UNKNOWN_MODEL", text)
        return model

    async def _with_tables(self, model: ModelSchema, tables: str) -> ModelSchema:
        """The model with the tables of a late kind whose first row this is."""
        try:
            return await self._models.use_late_kind(model, tables)
        except RetryableError:
            raise
        except HeadraceError as error:
            raise RefusedBatchError("STORAGE_REJECTED", error.message) from error


def _letter_of_all(batch: batch_pb2.Batch, reason: str, message: str) -> DeadLetter:
    return letter_of_batch(batch.SerializeToString(), reason, message)


def _nothing(rejections: Rejections) -> ValidatedRows:
    none = np.empty(0, dtype=np.int64)
    return ValidatedRows(pa.table({}), none, rejections, none)


def _pending(
    received: Received,
    landing: Landing | None,
    validated: ValidatedRows,
    letters: list[DeadLetter],
    json_columns: frozenset[str] = frozenset(),
) -> PendingBatch:
    return PendingBatch(
        origin=received.origin,
        epoch=received.epoch,
        seq=received.batch.seq,
        kind=received.batch.kind,
        model=received.batch.model[:MAX_WRITTEN_CHARACTERS],
        model_version=received.batch.model_version,
        target=landing,
        table=validated.table,
        places=validated.places,
        row_count=validated.rejections.row_count,
        rejections=validated.rejections,
        letters=letters,
        size_bytes=received.size_bytes,
        received_at=received.at,
        payload_hash=received.payload_hash,
        json_columns=json_columns,
        skipped=validated.skipped,
    )


async def _run(
    is_heavy: bool, work: Callable[Parameters, Returned], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Returned:
    if is_heavy:
        return await asyncio.to_thread(work, *args, **kwargs)
    return work(*args, **kwargs)
