"""Why a row is refused: by a rule of the test's, or by the checks of a registered model."""

from __future__ import annotations

from typing import NamedTuple

from headrace.v1 import error_reason_pb2


class Rejection(NamedTuple):
    """A row's refusal."""

    reason: error_reason_pb2.ErrorReason.ValueType
    column: str
    message: str

    @classmethod
    def of(cls, reason: str, column: str = "", message: str = "") -> Rejection:
        """Return a refusal by the reason's short name, e.g. "WRONG_TYPE".

        Raises:
            ValueError: error_reason.proto has no such reason.
        """
        return cls(error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{reason}"), column, message or reason)
