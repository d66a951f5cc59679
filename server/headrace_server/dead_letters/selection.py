"""Which dead letters are meant: a filter or numbers, as the condition of a query.

In: what a caller asks for. Out: SQL whose only texts are ours, and its parameters; or the error that names what cannot
be read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from headrace.v1 import dead_letter_service_pb2 as pb
from headrace.v1 import error_reason_pb2
from headrace_server.errors import FilterInvalidError, SelectionRequiredError

MOST_IDS = 10_000
LARGEST_ID = 2**63 - 1
_PREFIX = "ERROR_REASON_"


@dataclass
class Selection:
    """The condition of a query over headrace.dead_letters.

    Attributes:
        parameters: Values of $1, $2 …
    """

    parameters: list[object] = field(default_factory=list)
    _terms: list[str] = field(default_factory=list)

    @staticmethod
    def of_project(project: str) -> "Selection":
        """All letters of a project."""
        return Selection().where("project = {}", project)

    def where(self, term: str, *values: object) -> "Selection":
        """Add a condition; each {} stands for the next value."""
        self._terms.append(term.format(*map(self.parameter, values)))
        return self

    def parameter(self, value: object) -> str:
        """Add a value and return what stands for it in the query."""
        self.parameters.append(value)
        return f"${len(self.parameters)}"

    @property
    def sql(self) -> str:
        """The condition."""
        return " AND ".join(self._terms)


def by_filter(project: str, wanted: pb.DeadLetterFilter) -> Selection:
    """Select what matches everything that the filter says.

    Raises:
        FilterInvalidError: A part of it cannot be read.
    """
    selection = Selection.of_project(project)
    for column, text in (("model", wanted.model), ("column_name", wanted.column)):
        if text:
            selection.where(f"{column} = {{}}", text.replace("\0", "\\0"))
    if wanted.kind:
        selection.where("kind = {}", wanted.kind)
    if wanted.reason:
        selection.where("reason = {}", _reason(wanted.reason))
    if wanted.producer_id:
        selection.where("producer_id = {}", _uuid(wanted.producer_id))
    if wanted.HasField("from_time"):
        selection.where("created_at >= {}", _time(wanted.from_time, "from_time"))
    if wanted.HasField("until_time"):
        selection.where("created_at < {}", _time(wanted.until_time, "until_time"))
    match wanted.state:
        case pb.DEAD_LETTER_STATE_UNSPECIFIED | pb.DEAD_LETTER_STATE_WAITING:
            selection.where("replayed_at IS NULL")
        case pb.DEAD_LETTER_STATE_REPLAYED:
            selection.where("replayed_at IS NOT NULL")
        case pb.DEAD_LETTER_STATE_ANY:
            pass
        case other:
            raise _invalid("state", f"{other} is no state this service knows")
    return selection


def by_request(project: str, ids: Sequence[int], wanted: pb.DeadLetterFilter | None) -> Selection:
    """Select by numbers, by a filter, or by both.

    Raises:
        SelectionRequiredError: Neither is given, or too many numbers.
        FilterInvalidError: A part of the filter cannot be read.
    """
    if not ids and wanted is None:
        text = "say which dead letters are meant: ids, or a filter (an empty one means all that wait)"
        raise SelectionRequiredError(text, fields={"ids": "or filter must be there"})
    if len(ids) > MOST_IDS:
        raise SelectionRequiredError(f"{len(ids)} ids; at most {MOST_IDS} in a call", fields={"ids": "too many"})
    selection = Selection.of_project(project) if wanted is None else by_filter(project, wanted)
    if ids:
        selection.where("id = ANY({}::bigint[])", [number for number in ids if number <= LARGEST_ID])
    return selection


def page_token(token: str) -> int:
    """The number of the letter that a page token stands for; 0 for none.

    Raises:
        FilterInvalidError: It is none that this service gave.
    """
    if not token:
        return 0
    if not token.isascii() or not token.isdecimal() or int(token) > LARGEST_ID:
        raise _invalid("page_token", "is none that this service gave")
    return int(token)


def _reason(value: int) -> str:
    if value not in error_reason_pb2.ErrorReason.values():
        raise _invalid("reason", f"{value} is no reason this service knows")
    return error_reason_pb2.ErrorReason.Name(value).removeprefix(_PREFIX)  # type: ignore[arg-type]  # checked above


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise _invalid("producer_id", "must be a UUID") from None


def _time(time: Timestamp, name: str) -> object:
    try:
        return time.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise _invalid(name, "must lie in the years 1 to 9999") from None


def _invalid(name: str, fault: str) -> FilterInvalidError:
    return FilterInvalidError(f"{name} {fault}", fields={name: fault})
