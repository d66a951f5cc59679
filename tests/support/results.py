"""Short ways to read a batch's result."""

from __future__ import annotations

from headrace.v1 import error_reason_pb2, result_pb2
from support.label_rows import rows_of


def errors_of(result: result_pb2.BatchResult) -> dict[tuple[str, str], list[int]]:
    """The rows that were refused, by reason and column."""
    return {
        (error_reason_pb2.ErrorReason.Name(errors.reason).removeprefix("ERROR_REASON_"), errors.column): rows_of(
            errors.rows
        )
        for errors in result.errors
    }
