"""DeadLetterService over the shelf: what people may ask about rows that could not be stored.

In: requests. Out: letters as protos. Raises HeadraceError; an interceptor makes a status of it.
"""

from contextlib import suppress
from typing import Any

from google.protobuf.message import DecodeError
from grpc.aio import ServicerContext

from headrace.v1 import batch_pb2, error_reason_pb2
from headrace.v1 import dead_letter_service_pb2 as pb
from headrace.v1.dead_letter_service_pb2_grpc import DeadLetterServiceServicer
from headrace_server.dead_letters.readable import rows_json
from headrace_server.dead_letters.replay import Replay
from headrace_server.dead_letters.selection import LARGEST_ID, by_filter, by_request, page_token
from headrace_server.dead_letters.shelf import DROPPED_AT_ONCE, Shelf, StoredLetter
from headrace_server.errors import DeadLetterNotFoundError

DEFAULT_PROJECT = "main"
DEFAULT_PAGE_LETTERS = 100
LONGEST_PAGE_LETTERS = 1_000

Context = ServicerContext[Any, Any]


class DeadLetterServicer(DeadLetterServiceServicer):
    """Serves headrace.v1.DeadLetterService.

    Args:
        shelf: Where the letters lie.
        replay: Sends them through the write path again.
    """

    def __init__(self, shelf: Shelf, replay: Replay) -> None:
        self._shelf = shelf
        self._replay = replay

    async def ListDeadLetters(self, request: pb.ListDeadLettersRequest, context: Context) -> pb.ListDeadLettersResponse:
        """Return a page of letters; its token is the last letter's number."""
        limit = min(request.page_size or DEFAULT_PAGE_LETTERS, LONGEST_PAGE_LETTERS)
        selection = by_filter(request.project or DEFAULT_PROJECT, request.filter)
        found = await self._shelf.newest(selection, page_token(request.page_token), limit + 1)
        page = found[:limit]
        return pb.ListDeadLettersResponse(
            letters=[to_proto(letter) for letter in page],
            next_page_token=str(page[-1].id) if len(found) > limit else "",
        )

    async def GetDeadLetter(self, request: pb.GetDeadLetterRequest, context: Context) -> pb.GetDeadLetterResponse:
        """Return one letter with what it holds."""
        project = request.project or DEFAULT_PROJECT
        letter = await self._shelf.one(project, request.id) if request.id <= LARGEST_ID else None
        if letter is None:
            text = f"there is no dead letter {request.id} in the project {project!r}"
            raise DeadLetterNotFoundError(text, metadata={"project": project, "id": str(request.id)})
        rows = ""
        if letter.is_whole:
            with suppress(DecodeError):  # the bytes go along, whatever they are
                rows = rows_json(batch_pb2.Batch.FromString(letter.payload))
        return pb.GetDeadLetterResponse(letter=to_proto(letter), payload=letter.payload, rows_json=rows)

    async def ReplayDeadLetters(
        self, request: pb.ReplayDeadLettersRequest, context: Context
    ) -> pb.ReplayDeadLettersResponse:
        """Store letters after all, as far as one call goes."""
        project, after = request.project or DEFAULT_PROJECT, page_token(request.page_token)
        wanted = request.filter if request.HasField("filter") else None
        limit = min(request.page_size or LONGEST_PAGE_LETTERS, LONGEST_PAGE_LETTERS)
        replayed = await self._replay.run(lambda: by_request(project, request.ids, wanted), after, limit)
        return pb.ReplayDeadLettersResponse(
            tried=replayed.tried,
            stored=replayed.stored,
            duplicate=replayed.duplicate,
            refused=replayed.refused,
            refusals=[
                pb.DeadLetterRefusal(id=each.id, reason=each.reason, column=each.column, message=each.message)
                for each in replayed.refusals
            ],
            next_page_token=str(replayed.last) if replayed.last else "",
        )

    async def DropDeadLetters(self, request: pb.DropDeadLettersRequest, context: Context) -> pb.DropDeadLettersResponse:
        """Remove letters, as far as one call goes."""
        wanted = request.filter if request.HasField("filter") else None
        selection = by_request(request.project or DEFAULT_PROJECT, request.ids, wanted)
        dropped = await self._shelf.drop(selection)
        return pb.DropDeadLettersResponse(dropped=dropped, has_more=dropped == DROPPED_AT_ONCE)


def to_proto(letter: StoredLetter) -> pb.DeadLetter:
    """Return a letter as clients see it."""
    name = f"ERROR_REASON_{letter.reason}"
    known = name in error_reason_pb2.ErrorReason.keys()  # noqa: SIM118 - no dict: written by a newer release, it may not be
    proto = pb.DeadLetter(
        id=letter.id,
        project=letter.project,
        model=letter.model,
        kind=letter.kind,  # type: ignore[arg-type]  # a number of RecordKind, or of a newer release's
        reason=error_reason_pb2.ErrorReason.Value(name) if known else error_reason_pb2.ERROR_REASON_UNSPECIFIED,
        column=letter.column_name,
        message=letter.message,
        sqlstate=letter.sqlstate,
        producer_id=str(letter.producer_id or ""),
        request_id=str(letter.request_id or ""),
        seq=letter.seq,
        row=letter.row_index,
        payload_bytes=letter.payload_bytes,
        is_whole=letter.is_whole,
        replays=letter.replays,
    )
    proto.create_time.FromDatetime(letter.created_at)
    if letter.last_replay_at is not None:
        proto.last_replay_time.FromDatetime(letter.last_replay_at)
    if letter.replayed_at is not None:
        proto.replayed_time.FromDatetime(letter.replayed_at)
    return proto
