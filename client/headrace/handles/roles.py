"""Which column is what, as a caller of publish() and its kin says it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from headrace.v1 import batch_pb2

if TYPE_CHECKING:
    from headrace.sources.plan import Roles


def roles_said(
    event_id: str | None,
    event_time: str | None,
    features: Sequence[str] | None,
    predictions: str | Sequence[str] | None,
    labels: str | Sequence[str] | None,
    *,
    late: batch_pb2.RecordKind.ValueType | None = None,
) -> Roles:
    """Return what the caller said of the columns; one name stands for a list of one."""
    from headrace.sources.plan import Roles  # noqa: PLC0415 -- as the parts of beside_logging.py

    return Roles(
        event_id=event_id,
        event_time=event_time,
        features=features,
        predictions=[predictions] if isinstance(predictions, str) else predictions,
        labels=[labels] if isinstance(labels, str) else labels,
        late=late,
    )
