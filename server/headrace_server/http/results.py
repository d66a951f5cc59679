"""A batch's result in plain words: counts, and which rows were not simply stored."""

from typing import Any

from headrace.v1 import error_reason_pb2, ingest_service_pb2, result_pb2

COUNTS = ("rows", "stored", "duplicate", "conflict", "rejected", "joined", "parked", "pending", "skipped")
SETS = ("duplicate_rows", "conflict_rows", "parked_rows", "pending_rows", "skipped_rows")


def to_json(response: ingest_service_pb2.PublishResponse, request_id: str) -> dict[str, Any]:
    """Return the answer to a batch.

    Args:
        response: What became of its rows, or would have.
        request_id: The Idempotency-Key under which the same bytes get the same answer again.
    """
    result = response.result
    return {
        "summary": _summary(result, "would be stored" if response.validate_only else "stored"),
        "request_id": request_id,
        **{name: getattr(result, name) for name in COUNTS},
        "errors": [_error(error) for error in result.errors],
        **{name: ranges(getattr(result, name)) for name in SETS},
        "replayed": result.replayed,
        "result_expired": result.result_expired,
        "validate_only": response.validate_only,
    }


def ranges(rows: result_pb2.RowRanges) -> list[dict[str, int]]:
    """Return a set of rows as runs from first to last, both of them in it; row 0 is the batch's first."""
    return [
        {"first": first, "last": first + length - 1} for first, length in zip(rows.starts, rows.lengths, strict=True)
    ]


def _summary(result: result_pb2.BatchResult, stored: str) -> str:
    if result.result_expired:
        return "committed before; the result is no longer kept"
    said = [f"{result.stored} of {result.rows} rows {stored}"]
    said += [
        f"{getattr(result, name)} {name}"
        for name in ("duplicate", "conflict", "rejected", "skipped")
        if getattr(result, name)
    ]
    if result.errors and not result.rows:
        said.append("the batch as a whole was refused")
    return ", ".join(said) + (" (the result of the first time)" if result.replayed else "")


def _error(error: result_pb2.RowErrors) -> dict[str, Any]:
    name = error_reason_pb2.ErrorReason.Name
    # A newer result (a replay after a rollback of the service) may hold a reason that this release cannot name.
    known = error.reason in error_reason_pb2.ErrorReason.values()
    return {
        "reason": name(error.reason).removeprefix("ERROR_REASON_") if known else str(error.reason),
        "column": error.column,
        "message": error.message,
        "rows": ranges(error.rows),
    }
