"""Dead letters: rows the service refused and keeps, listed, looked at, stored after all, or dropped.

    client.update_model("flight_delay", add=[...])
    result = client.dead_letters.replay(model="flight_delay", reason="UNKNOWN_COLUMN")

Replay and drop are bounded calls of the service, made again until everything that is meant has been seen to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from headrace.connecting.calls import Calls
from headrace.errors import InvalidArgumentError
from headrace.results import reason_name
from headrace.times import TimeLike, as_datetime
from headrace.v1 import batch_pb2, dead_letter_service_pb2, error_reason_pb2
from headrace.v1.dead_letter_service_pb2_grpc import DeadLetterServiceStub

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

_IDS_A_CALL = 1_000
_STATES = ("waiting", "replayed", "any")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A refused row, or a batch that was refused as a whole."""

    id: int
    project: str
    model: str
    """As the batch named it; it may not be registered."""
    kind: str
    """EVENTS, LABELS …"""
    reason: str
    """Name of error_reason.proto: why it was refused, the last time it was tried."""
    column: str
    message: str
    sqlstate: str
    """PostgreSQL's code where it was the database that refused."""
    producer_id: str
    """Sender, of rows that came on a stream."""
    request_id: str
    """Id of the call, of rows that came by one."""
    seq: int
    row: int | None
    """Row in its batch; None where the whole batch was refused."""
    payload_bytes: int
    is_whole: bool
    """False: only the head is kept, and it cannot be replayed."""
    create_time: datetime
    replays: int
    last_replay_time: datetime | None
    replayed_time: datetime | None
    """When it was stored after all; None while it waits."""
    rows: list[dict[str, Any]] | None = None
    """What it holds, from get(); None from list(), and where it cannot be decoded."""
    payload: bytes = b""
    """The same as it was sent: a serialized Batch; from get()."""


@dataclass(slots=True)
class ReplayResult:
    """What became of replayed letters."""

    tried: int = 0
    stored: int = 0
    duplicate: int = 0
    """Their rows had been stored before; they count as replayed, too."""
    refused: int = 0
    """They stay, under their ids, with the new reason."""
    refusals: list[DeadLetterRefusal] = field(default_factory=list)
    """Why; at most 100 a call of the service."""


@dataclass(frozen=True, slots=True)
class DeadLetterRefusal:
    """Why a letter stays."""

    id: int
    reason: str
    column: str
    message: str


class LetterFilter(TypedDict, total=False):
    """Which letters: those that match everything that is given."""

    model: str
    """As the batch named it."""
    kind: str
    """EVENTS, LABELS …"""
    reason: str
    """Name of error_reason.proto."""
    column: str
    """Column at fault."""
    producer_id: str
    """Sender, of rows that came on a stream."""
    since: TimeLike
    """Refused at this time or later."""
    until: TimeLike
    """Refused before this time."""
    state: str
    """"waiting" (default), "replayed" or "any"."""


class DeadLetters:
    """The dead letters of the client's project; `client.dead_letters`.

    Every call raises

    - InvalidArgumentError when a part of the filter says nothing this client knows,
    - ServiceError when the service refuses (FILTER_INVALID), or is away for call_timeout_s,
    - ClosedError when the client is closed.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(self, **wanted: Unpack[LetterFilter]) -> Iterator[DeadLetter]:
        """Yield letters, newest first; pages are fetched as they are needed.

        Args:
            **wanted: Which letters; see LetterFilter. Default: all that wait.
        """
        return self._pages(_filter(wanted))

    def get(self, id: int) -> DeadLetter:  # noqa: A002 -- what the field is called
        """Return one letter with its rows.

        Raises:
            ServiceError: There is none: DEAD_LETTER_NOT_FOUND.
        """
        request = dead_letter_service_pb2.GetDeadLetterRequest(project=self._calls.project, id=id)
        response = self._calls.call(DeadLetterServiceStub, lambda stub: stub.GetDeadLetter, request)
        rows = json.loads(response.rows_json) if response.rows_json else None
        return _letter(response.letter, rows, response.payload)

    def replay(self, ids: Sequence[int] | None = None, **wanted: Unpack[LetterFilter]) -> ReplayResult:
        """Send letters through the write path again, oldest first, and return what became of them.

        Each is stored at most once, however often this is called and whatever crashes meanwhile. One that is refused
        again stays, with its new reason. After an error, what was stored by then stays stored and marked.

        Args:
            ids: Numbers of letters. Default: all that wait and match the filter.
            **wanted: Which letters; see LetterFilter. Letters that are replayed already are left alone.
        """
        result = ReplayResult()
        for some in _in_calls(ids):
            self._replay(some, _filter(wanted), result)
        return result

    def drop(self, ids: Sequence[int] | None = None, **wanted: Unpack[LetterFilter]) -> int:
        """Remove letters for good, and return how many.

        Args:
            ids: Numbers of letters, which must match the filter, too. Default: all that match it.
            **wanted: Which letters; see LetterFilter.
        """
        dropped = 0
        for some in _in_calls(ids):
            request = dead_letter_service_pb2.DropDeadLettersRequest(
                project=self._calls.project, ids=some, filter=_filter(wanted)
            )
            while True:
                response = self._calls.call(DeadLetterServiceStub, lambda stub: stub.DropDeadLetters, request)
                dropped += response.dropped
                if not response.has_more:
                    break
        return dropped

    def _pages(self, wanted: dead_letter_service_pb2.DeadLetterFilter) -> Iterator[DeadLetter]:
        request = dead_letter_service_pb2.ListDeadLettersRequest(project=self._calls.project, filter=wanted)
        while True:
            page = self._calls.call(DeadLetterServiceStub, lambda stub: stub.ListDeadLetters, request)
            yield from map(_letter, page.letters)
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return

    def _replay(
        self, ids: Sequence[int], wanted: dead_letter_service_pb2.DeadLetterFilter, result: ReplayResult
    ) -> None:
        request = dead_letter_service_pb2.ReplayDeadLettersRequest(project=self._calls.project, ids=ids, filter=wanted)
        while True:
            page = self._calls.call(DeadLetterServiceStub, lambda stub: stub.ReplayDeadLetters, request)
            result.tried += page.tried
            result.stored += page.stored
            result.duplicate += page.duplicate
            result.refused += page.refused
            result.refusals += [
                DeadLetterRefusal(each.id, reason_name(each.reason), each.column, each.message)
                for each in page.refusals
            ]
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return


def _in_calls(ids: Sequence[int] | None) -> Iterator[Sequence[int]]:
    """Yield the numbers of each call; none at all where the filter says what is meant."""
    if ids is None:
        yield ()
    else:
        ids = sorted(ids)
        for start in range(0, len(ids), _IDS_A_CALL):
            yield ids[start : start + _IDS_A_CALL]


def _filter(wanted: LetterFilter) -> dead_letter_service_pb2.DeadLetterFilter:
    state = wanted.get("state", "waiting")
    if state not in _STATES:
        raise InvalidArgumentError(f"state={state!r}: {', '.join(_STATES)}")
    request = dead_letter_service_pb2.DeadLetterFilter(
        model=wanted.get("model", ""),
        kind=_named(batch_pb2.RecordKind, "RECORD_KIND_", wanted.get("kind"), "kind"),
        reason=_named(error_reason_pb2.ErrorReason, "ERROR_REASON_", wanted.get("reason"), "reason"),
        column=wanted.get("column", ""),
        producer_id=wanted.get("producer_id", ""),
        state=dead_letter_service_pb2.DeadLetterState.Value(f"DEAD_LETTER_STATE_{state.upper()}"),
    )
    if (since := wanted.get("since")) is not None:
        request.from_time.FromDatetime(as_datetime(since))
    if (until := wanted.get("until")) is not None:
        request.until_time.FromDatetime(as_datetime(until))
    return request


def _named(enum: Any, prefix: str, name: str | None, argument: str) -> Any:
    if not name:
        return 0
    try:
        return enum.Value(prefix + name.upper())
    except ValueError:
        raise InvalidArgumentError(f"{argument}={name!r}: no name of the contract") from None


def _letter(
    letter: dead_letter_service_pb2.DeadLetter, rows: list[dict[str, Any]] | None = None, payload: bytes = b""
) -> DeadLetter:
    return DeadLetter(
        id=letter.id,
        project=letter.project,
        model=letter.model,
        kind=_kind_name(letter.kind),
        reason=reason_name(letter.reason),
        column=letter.column,
        message=letter.message,
        sqlstate=letter.sqlstate,
        producer_id=letter.producer_id,
        request_id=letter.request_id,
        seq=letter.seq,
        row=letter.row if letter.HasField("row") else None,
        payload_bytes=letter.payload_bytes,
        is_whole=letter.is_whole,
        create_time=letter.create_time.ToDatetime(UTC),
        replays=letter.replays,
        last_replay_time=_time(letter.last_replay_time) if letter.HasField("last_replay_time") else None,
        replayed_time=_time(letter.replayed_time) if letter.HasField("replayed_time") else None,
        rows=rows,
        payload=payload,
    )


def _time(time: Timestamp) -> datetime:
    return time.ToDatetime(UTC)


def _kind_name(kind: int) -> str:
    known = batch_pb2.RecordKind.DESCRIPTOR.values_by_number.get(kind)
    return known.name.removeprefix("RECORD_KIND_") if known else str(kind)
