"""MonitoringService over the views of models: the same rows, over gRPC.

In: requests for a model's rows of some time. Out: pages of them. A row's message has the view's columns by name, so one
reading serves all. A view that is not there yet has no rows: the model has none either.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import asyncpg
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from grpc.aio import ServicerContext

from headrace.v1 import monitoring_service_pb2 as pb
from headrace.v1.monitoring_service_pb2_grpc import MonitoringServiceServicer
from headrace_server.errors import FilterInvalidError
from headrace_server.models.known_models import ACQUIRE_TIMEOUT_S, model_not_found
from headrace_server.models.names import qualified
from headrace_server.models.registry import Registry
from headrace_server.storage.outage import told_as_unavailable

SERVICE = pb.DESCRIPTOR.services_by_name["MonitoringService"].full_name
DEFAULT_PROJECT = "main"
DEFAULT_PAGE_ROWS = 1_000
LONGEST_PAGE_ROWS = 10_000
EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

Context = ServicerContext[Any, Any]
Request = pb.GetVolumeRequest | pb.GetPerformanceRequest | pb.GetDriftRequest
Row = TypeVar("Row", bound=Message)


class MonitoringServicer(MonitoringServiceServicer):
    """Serves headrace.v1.MonitoringService.

    Args:
        registry: The models.
        pool: For reading.
    """

    def __init__(self, registry: Registry, pool: asyncpg.Pool) -> None:
        self._registry = registry
        self._pool = pool

    async def GetVolume(self, request: pb.GetVolumeRequest, context: Context) -> pb.GetVolumeResponse:
        """Return a page of a model's volume."""
        rows, token = await self._page(request, "_volume", pb.VolumeRow, request.grain)
        return pb.GetVolumeResponse(rows=rows, next_page_token=token)

    async def GetPerformance(self, request: pb.GetPerformanceRequest, context: Context) -> pb.GetPerformanceResponse:
        """Return a page of a model's performance."""
        rows, token = await self._page(request, "_performance", pb.PerformanceRow, request.grain)
        return pb.GetPerformanceResponse(rows=rows, next_page_token=token)

    async def GetDrift(self, request: pb.GetDriftRequest, context: Context) -> pb.GetDriftResponse:
        """Return a page of a model's drift."""
        rows, token = await self._page(request, "_drift", pb.DriftRow)
        return pb.GetDriftResponse(rows=rows, next_page_token=token)

    async def _page(
        self, request: Request, suffix: str, kind: type[Row], grain: int | None = None
    ) -> tuple[Sequence[Row], str]:
        project = request.project or DEFAULT_PROJECT
        model = await self._registry.get(project, request.model)
        if model is None:
            raise model_not_found(project, request.model)
        limit = min(request.page_size or DEFAULT_PAGE_ROWS, LONGEST_PAGE_ROWS)
        first = _offset(request.page_token)
        columns = [field.name for field in kind.DESCRIPTOR.fields]
        of_grain = "" if grain is None else f" AND grain = '{'HOUR' if grain == pb.GRAIN_HOUR else 'DAY'}'"
        # A row's keys come first in its message, and tell it from all others.
        sql = (
            f"SELECT {', '.join(columns)} FROM {qualified(model.project, model.sql_name + suffix)}"  # noqa: S608
            f" WHERE bucket >= $1 AND bucket < $2{of_grain}"
            f" ORDER BY {', '.join(columns[:5])} LIMIT $3 OFFSET $4"
        )
        bounds = (_time(request, "from_time", EARLIEST), _time(request, "until_time", LATEST))
        with told_as_unavailable():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                try:
                    records = await connection.fetch(sql, *bounds, limit + 1, first)
                except asyncpg.UndefinedTableError:
                    return [], ""
        rows = [_row(kind, record) for record in records[:limit]]
        return rows, str(first + limit) if len(records) > limit else ""


def _row(kind: type[Row], record: asyncpg.Record) -> Row:
    given = {name: value for name, value in record.items() if value is not None}
    return kind(**{name: _stamp(value) if isinstance(value, datetime) else value for name, value in given.items()})


def _stamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def _time(request: Request, field: str, default: datetime) -> datetime:
    if not request.HasField(field):  # type: ignore[arg-type]
        return default
    moment: datetime = getattr(request, field).ToDatetime(UTC)
    return moment


def _offset(token: str) -> int:
    if not token:
        return 0
    if not token.isdecimal() or len(token) > 18:
        raise FilterInvalidError(f"page_token {token[:40]!r} is none of this service")
    return int(token)
