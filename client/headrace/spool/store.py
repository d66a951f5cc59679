"""The spool of one producer: its sealed batches in an SQLite file, under their seqs, until they are acknowledged.

- *Append* before a batch is sent, *read* when its turn comes, *forget* what is acknowledged. The order is the seqs'.
- Who is killed loses nothing that was appended: SQLite's write-ahead log is the operating system's by then, and with
  Durability.FSYNC the disk's.
- Nothing that is read is believed: each batch carries a checksum of its seq, rows and bytes, and so does the line that
  says whose they are. The last seq is written beside the file too, so that a log whose end is damaged is noticed. A
  batch that is damaged or missing is told as such, and never anything else in its place.

Not thread-safe: its window's lock guards it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import struct
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from headrace.errors import HeadraceError
from headrace.settings import Durability

_MARK = struct.Struct("<QI")
MOST_BATCHES = 1_000_000
_MOST_BATCH_BYTES = 256 * 1024 * 1024
_FORGET_BATCHES = 256
_FORGET_BYTES = 8 * 1024 * 1024
_LOG_BYTES = 16 * 1024 * 1024

_BUSY_S = 1.0  # nobody but its process opens a file, so a lock on it is somebody's who looks into it by hand
_PASSING = frozenset(
    {
        *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM),
        *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY),
    }
)
"""What SQLite says of troubles that are not the file's own."""

_SYNCHRONOUS = {Durability.PAGE_CACHE: "NORMAL", Durability.FSYNC: "FULL"}
DAMAGED = "damaged"
"""Folder of a spool directory that holds files which could not be read whole."""

_TABLES = (
    "CREATE TABLE producer"
    " (id TEXT NOT NULL, project TEXT NOT NULL, forgotten_through INTEGER NOT NULL, checksum INTEGER)",
    "CREATE TABLE batches (seq INTEGER PRIMARY KEY, row_count INTEGER NOT NULL, body BLOB NOT NULL, checksum INTEGER)",
)


class SpoolFullError(HeadraceError):
    """There is no room for another batch: by its bound, or on the disk."""

    reason = "SPOOL_FULL"


class SpoolDamagedError(HeadraceError):
    """Something in the spool is not what was written: a batch, or what a file says of whose batches it holds."""

    reason = "SPOOL_DAMAGED"


@dataclass(frozen=True, slots=True)
class SpooledBatch:
    """A batch as it was appended."""

    seq: int
    rows: int
    body: bytes
    """Serialized headrace.v1.Batch, with its seq."""


class SpoolStore:
    """The spooled batches of one producer.

    Args:
        path: The SQLite file; made when it is not there.
        producer_id: Whose batches a new file holds.
        project: Project of the session, for a new file.
        max_bytes: Bound of the batches' bytes.
        durability: What an appended batch survives.

    Attributes:
        producer_id: Whose batches these are.
        project: Project of the producer's session; empty until the service has named it, where no client did.
        first_seq: Seq of the first batch that is not forgotten; next_seq when there is none.
        next_seq: Seq of the next batch.
        damaged: Seqs that were found damaged or missing.

    Raises:
        SpoolDamagedError: The file is there, and is not what was written.
        SpoolFullError: It cannot be made or opened now, as on a full disk.
    """

    def __init__(
        self,
        path: Path,
        *,
        producer_id: str,
        project: str,
        max_bytes: int,
        durability: Durability = Durability.PAGE_CACHE,
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._durability = durability
        self._mark_path = path.with_suffix(".sealed")
        self._forgotten_bytes = 0
        self.damaged: set[int] = set()
        is_new = not path.exists()
        try:
            self._database = sqlite3.connect(path, timeout=_BUSY_S, check_same_thread=False, isolation_level=None)
            try:
                self._database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BATCH_BYTES)  # damage may ask for more
                self._database.execute("PRAGMA journal_mode=WAL")
                self._database.execute(f"PRAGMA journal_size_limit={_LOG_BYTES}")
                self._sync(durability)
                if is_new or self._is_blank():
                    self._make(producer_id, project)
                self._recall()
            except BaseException:
                self._database.close()
                raise
        except (sqlite3.Error, UnicodeError) as error:
            if is_new or getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING:  # the rest says more of the same
                raise SpoolFullError(f"the spool {path} cannot be opened now: {error}") from error
            raise SpoolDamagedError(f"the spool {path} is damaged: {error}") from error

    def _is_blank(self) -> bool:
        """Whether its maker was killed before it held anything."""
        return not self._mark_path.exists() and not self._database.execute("SELECT 1 FROM sqlite_master").fetchone()

    def _make(self, producer_id: str, project: str) -> None:
        """Make the tables, whole or not at all: before them, the file is empty."""
        self._database.execute("BEGIN")
        for table in _TABLES:
            self._database.execute(table)
        self._database.execute(
            "INSERT INTO producer VALUES (?, ?, 0, ?)", (producer_id, project, _checksum_of(producer_id, project, 0))
        )
        self._database.execute("COMMIT")

    def _recall(self) -> None:
        """Learn what the file holds."""
        line = self._database.execute("SELECT id, project, forgotten_through, checksum FROM producer").fetchone()
        if line is None or line[3] != _checksum_of(*line[:3]):
            raise SpoolDamagedError(f"the spool {self._path} does not say whose it is")
        self.producer_id: str = line[0]
        self.project: str = line[1]
        self.first_seq: int = line[2] + 1
        self._removed_below = self.first_seq
        self.next_seq: int = max(self._last_beyond(self._marked()), line[2]) + 1
        self._bytes = self._asked("sum(length(body))", self._path.stat().st_size)
        self._bytes_of: dict[int, int] = {}

    def _last_beyond(self, marked: int) -> int:
        """The last seq: the mark's, or one beyond it whose batch is whole. A damaged seq can be any number."""
        with contextlib.suppress(sqlite3.Error):
            beyond = self._database.execute("SELECT seq FROM batches WHERE seq > ? ORDER BY seq DESC", (marked,))
            return next((seq for (seq,) in beyond if self._is_whole(seq)), marked)
        return marked

    def _asked(self, figure: str, otherwise: int) -> int:
        """A figure of all batches, where the file can be read so far."""
        with contextlib.suppress(sqlite3.Error):
            return int(self._database.execute(f"SELECT coalesce({figure}, 0) FROM batches").fetchone()[0])  # noqa: S608
        return otherwise

    def has_room(self, size_bytes: int) -> bool:
        """Whether a batch of so many bytes is within the bounds."""
        if self.next_seq - self.first_seq >= MOST_BATCHES:
            return False
        return not self._bytes or self._bytes + size_bytes <= self._max_bytes

    def append(self, batch: SpooledBatch) -> None:
        """Keep a batch; its seq is `next_seq`, or beyond it where batches between could not be kept.

        Raises:
            SpoolFullError: The disk takes no more; nothing has changed.
        """
        line = (batch.seq, batch.rows, batch.body, _checksum(batch))
        try:
            # One that was refused may be there all the same, since its flush failed.
            self._database.execute("INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?)", line)
        except sqlite3.Error as error:
            raise SpoolFullError(f"the spool {self._path} takes no more: {error}") from error
        with contextlib.suppress(OSError):  # the batch is kept; only that damage to it could go unnoticed
            self._mark(batch.seq)
        self.next_seq = batch.seq + 1
        self._bytes += len(batch.body)
        self._bytes_of[batch.seq] = len(batch.body)

    def read(self, seq: int) -> SpooledBatch | None:
        """Return a batch; None when it is damaged or missing, which is remembered."""
        batch = self._found(seq)
        if batch is None:
            self.damaged.add(seq)
        else:
            self._bytes_of[seq] = len(batch.body)
        return batch

    def _is_whole(self, seq: int) -> bool:
        return self._found(seq) is not None

    def _found(self, seq: int) -> SpooledBatch | None:
        with contextlib.suppress(sqlite3.Error, TypeError, struct.error):
            line = self._database.execute(
                "SELECT row_count, body, checksum FROM batches WHERE seq = ?", (seq,)
            ).fetchone()
            if line is not None:
                batch = SpooledBatch(seq, line[0], line[1])
                if _checksum(batch) == line[2]:
                    return batch
        return None

    def forget_through(self, seq: int) -> None:
        """Batches up to `seq` are acknowledged: they are removed, many at a time. What is damaged stays for a look."""
        for each in range(self.first_seq, seq + 1):
            size_bytes = self._bytes_of.pop(each, 0)
            self._bytes = max(0, self._bytes - size_bytes)
            self._forgotten_bytes += size_bytes
        self.first_seq = max(self.first_seq, seq + 1)
        is_many = self.first_seq - self._removed_below >= _FORGET_BATCHES or self._forgotten_bytes >= _FORGET_BYTES
        if is_many or self.first_seq >= self.next_seq:
            self._remove()

    def _remove(self) -> None:
        """Remove what is forgotten. A crash before it only means that the service is asked once more."""
        with contextlib.suppress(sqlite3.Error):  # on a full disk: it is tried again with the next
            self._sync(Durability.PAGE_CACHE)
            through = self.first_seq - 1
            try:
                self._database.execute("BEGIN")
                if not self.damaged:
                    self._database.execute("DELETE FROM batches WHERE seq <= ?", (through,))
                self._database.execute(
                    "UPDATE producer SET forgotten_through = ?, checksum = ?",
                    (through, _checksum_of(self.producer_id, self.project, through)),
                )
                self._database.execute("COMMIT")
            except sqlite3.Error:
                self._database.rollback()
                raise
            finally:
                self._sync(self._durability)
            self._removed_below, self._forgotten_bytes = self.first_seq, 0

    def close(self) -> None:
        """Let go of the file. With nothing left in it, it is removed; with damage in it, it is set aside."""
        self._remove()
        self._database.close()
        if self.first_seq < self.next_seq:
            return
        if self.damaged:
            set_aside(self._path)
        else:
            for file in _files(self._path):
                file.unlink(missing_ok=True)

    def belongs_to(self, project: str) -> None:
        """Note the project that the service has named: whoever sends these batches later says it, and no other's."""
        if self.project or not project:
            return
        with contextlib.suppress(sqlite3.Error):  # on a full disk: the next stream is told again
            through = self._removed_below - 1
            line = (project, _checksum_of(self.producer_id, project, through))
            self._database.execute("UPDATE producer SET project = ?, checksum = ?", line)
            self.project = project

    def _sync(self, durability: Durability) -> None:
        self._database.execute(f"PRAGMA synchronous={_SYNCHRONOUS[durability]}")

    def _mark(self, seq: int) -> None:
        """Write beside the file how far it goes; in place, since a full disk has no space for a new one."""
        with open(os.open(self._mark_path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), "wb") as file:  # noqa: PTH123 -- not cut to nothing first
            file.write(_MARK.pack(seq, crc32(seq.to_bytes(8, "little"))))

    def _marked(self) -> int:
        with contextlib.suppress(OSError, struct.error):
            seq, checksum = _MARK.unpack(self._mark_path.read_bytes())
            if checksum == crc32(seq.to_bytes(8, "little")):
                return int(seq)
        return 0


def set_aside(path: Path) -> Path:
    """Move a damaged spool, with what belongs to it, to where nobody reads it but people; return where that is."""
    folder = path.parent.parent / DAMAGED
    folder.mkdir(exist_ok=True)
    aside = folder / f"{path.parent.name}-{path.name}"
    for file in _files(path):
        file.replace(folder / f"{path.parent.name}-{file.name}")
    return aside


def _files(path: Path) -> list[Path]:
    """Return a spool's files, those of SQLite and the mark beside them, as far as they are there."""
    return [file for file in (path, *path.parent.glob(f"{path.name}-*"), path.with_suffix(".sealed")) if file.exists()]


def _checksum(batch: SpooledBatch) -> int:
    return crc32(batch.body, crc32(struct.pack("<QQ", batch.seq, batch.rows)))


def _checksum_of(producer_id: str, project: str, forgotten_through: int) -> int:
    return crc32(f"{producer_id}\n{project}\n{forgotten_through}".encode())
