"""What can be set on a client, with units, defaults and the reason for each.

A Settings is checked whole when it is made, before any socket or thread; what is wrong is named with key and value.
"""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass, fields

from headrace.errors import InvalidArgumentError


class Overflow(enum.Enum):
    """What log() does with a row when the buffer is full. Every row that is dropped is counted under the name."""

    DROP_NEWEST = "DROP_NEWEST"
    """Drop the row being logged: what was accepted first is kept."""
    DROP_OLDEST = "DROP_OLDEST"
    """Drop the oldest row that is not sealed: what is fresh is kept."""
    BLOCK = "BLOCK"
    """Wait for space up to overflow_timeout_s, then drop the row."""
    RAISE = "RAISE"
    """Raise BufferFullError; the row was not accepted and is not counted as logged."""
    SPOOL = "SPOOL"
    """Drop the row being logged, since even the spool is full. Needs spool_dir."""


class Durability(enum.Enum):
    """What a spooled batch survives."""

    PAGE_CACHE = "PAGE_CACHE"
    """The end of the process, however it ends; a power cut may take the last seconds. Costs little."""
    FSYNC = "FSYNC"
    """A power cut, too: each batch waits for the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of a client. All have defaults that suit a model server."""

    buffer_bytes: int = 128 * 1024 * 1024
    """Memory for rows that are not sealed, in bytes, estimated from weighed samples. A row of 11 numbers weighs about
    1.1 kB here, so the default holds two minutes of 1,000 events/s while the service is away."""

    buffer_rows: int = 1_000_000
    """Most rows that are not sealed. The bound that is exact."""

    overflow: Overflow | None = None
    """What log() does when the buffer is full. None: SPOOL with a spool_dir, else DROP_NEWEST (`policy` says which)."""

    overflow_timeout_s: float = 1.0
    """How long Overflow.BLOCK waits, in seconds."""

    spool_dir: str | os.PathLike[str] | None = None
    """Directory of the disk spool, for any number of processes of one machine and user: sealed batches wait there for
    their ack, and outlive the process. None: they wait in memory."""

    spool_bytes: int = 1024 * 1024 * 1024
    """Most bytes of batches in this process's spool, for events and for late rows each. Ten million rows of 11
    numbers."""

    spool_durability: Durability = Durability.PAGE_CACHE
    """What a spooled batch survives: the end of the process, or a power cut, too."""

    window_bytes: int = 32 * 1024 * 1024
    """Sealed batches kept until their ack, in bytes: what is in flight or waits to be sent again. Eight batches of the
    default limit, enough for 50 ms of round trip and commit at full speed."""

    batch_rows: int = 0
    """Rows that seal a batch before its linger is over. 0: what the service suggests (10,000)."""

    batch_bytes: int = 0
    """Largest batch in bytes, before the service's own limit. 0: the service's limit (4 MiB)."""

    linger_ms: float = 0.0
    """How long the first row of a batch waits for others, in milliseconds. 0: what the service suggests (20). More
    costs latency and saves CPU."""

    open_timeout_s: float = 15.0
    """How long a session may take from its start to Opened, in seconds; the service itself allows 10."""

    ack_timeout_s: float = 120.0
    """How long batches may be in flight without any ack before the stream is made anew, in seconds. Resending is
    harmless, so this only has to be longer than the service's worst pause."""

    call_timeout_s: float = 30.0
    """Deadline of a registry call with all its retries, in seconds."""

    backoff_initial_s: float = 0.1
    """Longest wait before the first reconnect, in seconds; 30 % more each time, with full jitter: what was away
    for 2 s is found within another."""

    backoff_max_s: float = 15.0
    """Longest wait between reconnects, in seconds: a service that comes back is found within this time."""

    report_interval_s: float = 10.0
    """How often changed counters are reported to the service, in seconds."""

    warn_interval_s: float = 60.0
    """Least time between two warnings of one kind in the log, in seconds."""

    exit_timeout_s: float = 5.0
    """How long the process's end waits for acks when close() was forgotten, in seconds."""

    quarantine_bytes: int = 16 * 1024 * 1024
    """Memory for batches set aside after the service refused them, in bytes; the oldest are let go beyond it (they
    stay counted)."""

    strict: bool = False
    """Whether log() and log_label() raise on arguments that cannot be used. False: such rows are counted as dropped
    and warned of, since inference goes before its log."""

    def __post_init__(self) -> None:
        faults = self._sign_faults()
        if self.overflow is Overflow.SPOOL and self.spool_dir is None:
            faults.append("overflow=Overflow.SPOOL: needs spool_dir")
        if self.spool_durability not in set(Durability):
            choices = ", ".join(f"Durability.{choice.name}" for choice in Durability)
            faults.append(f"spool_durability={self.spool_durability!r}: one of {choices}")
        if self.overflow is not None and self.overflow not in set(Overflow):
            faults.append(f"overflow={self.overflow!r}: one of {', '.join(f'Overflow.{o.name}' for o in Overflow)}")
        if self.backoff_max_s < self.backoff_initial_s:
            faults.append(f"backoff_max_s={self.backoff_max_s}: at least backoff_initial_s ({self.backoff_initial_s})")
        if faults:
            raise InvalidArgumentError("settings: " + "; ".join(faults))

    @property
    def policy(self) -> Overflow:
        """The overflow policy in force."""
        return self.overflow or (Overflow.DROP_NEWEST if self.spool_dir is None else Overflow.SPOOL)

    def _sign_faults(self) -> list[str]:
        """Return what is wrong with single numbers."""
        may_be_zero = {"overflow_timeout_s", "batch_rows", "batch_bytes", "linger_ms", "exit_timeout_s"}
        may_be_zero |= {"quarantine_bytes"}
        faults = []
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in {"overflow", "strict", "spool_dir", "spool_durability"}:
                continue
            if field.name in may_be_zero and not value >= 0:
                faults.append(f"{field.name}={value}: not negative")
            elif field.name not in may_be_zero and not value > 0:
                faults.append(f"{field.name}={value}: more than 0")
        return faults
