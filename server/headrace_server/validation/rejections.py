"""Rows refused and why, grouped by (reason, column): what validation finds wrong with a batch."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

MAX_GROUPS = 100
MAX_COLUMN_CHARACTERS = 256
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
        group = self._groups.get((reason, column))
        if group is None and len(self._groups) >= MAX_GROUPS:
            # The wire's bound: the last group gathers the rest under its own reason.
            group = next(reversed(self._groups.values()))
        if group is None:
            self._groups[reason, column] = _group(reason, column, message, rows.copy())
        else:
            group.rows |= rows

    def add_all(self, reason: str, column: str, message: str) -> None:
        """Refuse every row, or the batch as such where it has none."""
        if self.row_count:
            self.add(reason, column, np.ones(self.row_count, dtype=np.bool_), message)
        else:
            self.note(reason, message)

    def note(self, reason: str, message: str) -> None:
        """Say what is wrong with a batch that has no rows, or whose rows cannot be told apart."""
        self._groups[reason, ""] = _group(reason, "", message, np.zeros(self.row_count, dtype=np.bool_))

    def copy(self) -> "Rejections":
        """The same refusals, to be added to without changing these."""
        twin = Rejections(self.row_count)
        twin._groups = {key: replace(group, rows=group.rows.copy()) for key, group in self._groups.items()}
        return twin

    def mask(self) -> npt.NDArray[np.bool_]:
        """The refused rows."""
        refused = np.zeros(self.row_count, dtype=np.bool_)
        for group in self._groups.values():
            refused |= group.rows
        return refused

    def first_groups(self) -> list[tuple[int, RejectionGroup]]:
        """Each refused row, ascending, with the first group it stands in."""
        groups = self.groups
        first = np.full(self.row_count, -1, dtype=np.int16)
        for index, group in reversed(list(enumerate(groups))):
            first[group.rows] = index
        refused = np.flatnonzero(first >= 0)
        return [(row, groups[index]) for row, index in zip(refused.tolist(), first[refused].tolist(), strict=True)]


def shortened(text: str, characters: int = MAX_MESSAGE_CHARACTERS) -> str:
    """The text, cut where it is too long for an answer."""
    return text if len(text) <= characters else text[: characters - 1] + "…"


def _group(reason: str, column: str, message: str, rows: npt.NDArray[np.bool_]) -> RejectionGroup:
    return RejectionGroup(reason, shortened(column, MAX_COLUMN_CHARACTERS), shortened(message), rows)
