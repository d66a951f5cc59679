"""Rows refused and why, grouped by (reason, column): what validation finds wrong with a batch."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

MAX_GROUPS = 100
MAX_MESSAGE_CHARACTERS = 500


@dataclass
class RejectionGroup:
    """Rows refused for one reason in one column."""

    reason: str
    column: str
    message: str
    rows: npt.NDArray[np.bool_]


class Rejections:
    """The refused rows of one batch. A row may stand in several groups; it is refused once."""

    def __init__(self, row_count: int) -> None:
        self.row_count = row_count
        self._groups: dict[tuple[str, str], RejectionGroup] = {}

    def __bool__(self) -> bool:
        return bool(self._groups)

    @property
    def groups(self) -> list[RejectionGroup]:
        """The groups, in the order they were found."""
        return list(self._groups.values())

    def add(self, reason: str, column: str, rows: npt.NDArray[np.bool_], message: str) -> None:
        """Refuse the rows where the mask is set; the first message of a group stays."""
        if not rows.any():
            return
        if (reason, column) not in self._groups and len(self._groups) >= MAX_GROUPS:
            # The wire's bound: the last group gathers the rest under its own reason.
            self.groups[-1].rows |= rows
            return
        group = self._groups.get((reason, column))
        if group is None:
            text = message if len(message) <= MAX_MESSAGE_CHARACTERS else message[: MAX_MESSAGE_CHARACTERS - 1] + "…"
            self._groups[reason, column] = RejectionGroup(reason, column, text, rows.copy())
        else:
            group.rows |= rows

    def note(self, reason: str, message: str) -> None:
        """Say what is wrong with a batch whose rows cannot be told apart, nor counted."""
        self._groups[reason, ""] = RejectionGroup(reason, "", message, np.zeros(self.row_count, dtype=np.bool_))

    def add_all(self, reason: str, column: str, message: str) -> None:
        """Refuse every row."""
        self.add(reason, column, np.ones(self.row_count, dtype=np.bool_), message)

    def copy(self) -> "Rejections":
        """The same refusals, to be added to without changing these."""
        twin = Rejections(self.row_count)
        for group in self._groups.values():
            twin._groups[group.reason, group.column] = replace(group, rows=group.rows.copy())
        return twin

    def mask(self) -> npt.NDArray[np.bool_]:
        """The refused rows."""
        refused = np.zeros(self.row_count, dtype=np.bool_)
        for group in self._groups.values():
            refused |= group.rows
        return refused

    def first_of(self, row: int) -> RejectionGroup:
        """The first group a refused row stands in."""
        return next(group for group in self._groups.values() if group.rows[row])
