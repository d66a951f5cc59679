"""The folders and files of one data directory, and how its secrets and its port are remembered.

    service.lock      flock of the service that owns the directory, and its process id
    access.json       port and password of the loopback door, 0600
    postgresql.conf   written by us at every start, as is pg_hba.conf
    postmaster.log    what PostgreSQL says before its own log (cluster/log) is open
    ballast           given up to recover from a full disk
    socket/           the unix socket; elsewhere when the path would be longer than the kernel takes
    cluster/          PostgreSQL's own folder, the only one that belongs to its account

All but cluster and socket belong to the service. So a service run by root never writes where PostgreSQL's account could
have laid a symbolic link.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from headrace_server.storage.embedded.account import Account, require_reach
from headrace_server.storage.embedded.errors import DataDirectoryError, PortInUseError

ROLE = "headrace"
DATABASE = "headrace"
LOOPBACK = "127.0.0.1"
PORTS = range(15432, 32768)
# sun_path of sockaddr_un is 108 bytes on Linux with the closing NUL; 104 on macOS.
LONGEST_SOCKET_PATH = 103


@dataclass(frozen=True)
class Access:
    """The loopback door: port, and password of the role."""

    port: int
    password: str


@dataclass(frozen=True)
class DataDirectory:
    """Names everything below one data directory."""

    folder: Path

    @property
    def lock(self) -> Path:
        """The service's lock."""
        return self.folder / "service.lock"

    @property
    def access(self) -> Path:
        """Port and password."""
        return self.folder / "access.json"

    @property
    def configuration(self) -> Path:
        """PostgreSQL's settings."""
        return self.folder / "postgresql.conf"

    @property
    def client_authentication(self) -> Path:
        """Who may connect."""
        return self.folder / "pg_hba.conf"

    @property
    def start_log(self) -> Path:
        """What PostgreSQL says before its own log is open."""
        return self.folder / "postmaster.log"

    @property
    def ballast(self) -> Path:
        """The file given up to recover from a full disk."""
        return self.folder / "ballast"

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own folder."""
        return self.folder / "cluster"

    @property
    def socket_folder(self) -> Path:
        """Where the unix socket lies: within, or in a short private folder named after the data directory."""
        within = self.folder / "socket"
        if len(os.fsencode(within / ".s.PGSQL.65535")) <= LONGEST_SOCKET_PATH:
            return within
        digest = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]
        return Path(f"/tmp/headrace-{os.geteuid()}-{digest}")  # noqa: S108 — its owner and mode are checked

    def socket(self, port: int) -> Path:
        """The unix socket of a database on `port`."""
        return self.socket_folder / f".s.PGSQL.{port}"

    @property
    def major(self) -> int | None:
        """Major version of PostgreSQL that made the data; None when there is none yet."""
        try:
            return int((self.cluster / "PG_VERSION").read_text().strip())
        except FileNotFoundError:
            return None

    def prepare(self, account: Account | None) -> None:
        """Make the folders that are missing and see that the account reaches them.

        Raises:
            DataDirectoryError: The folder holds something else, cannot be made, or is out of the account's reach.
        """
        try:
            make_folder(self.folder)
            strangers = [entry.name for entry in self.folder.iterdir() if entry.name != "lost+found"]
            if strangers and not self.lock.exists():
                raise DataDirectoryError(
                    f"{self.folder} holds something else ({min(strangers)}): choose an empty folder"
                )
            # The account needs to pass through, nobody needs to list.
            self.folder.chmod(0o700 if account is None else 0o711)
        except OSError as error:
            raise DataDirectoryError(f"the data directory {self.folder} cannot be used: {error}") from error
        require_reach(account, self.folder)

    def prepare_socket_folder(self, account: Account | None) -> None:
        """Make the private socket folder, or see that the one that is there is ours, and clear it of dead sockets.

        PostgreSQL would clean up after itself, but gives way when the dead one's process id is in use again, or when
        nobody waited for the dead process: both are usual in containers. So only call this when no database runs.

        Raises:
            DataDirectoryError: Somebody else made a folder of that name.
        """
        folder = self.socket_folder
        uid = os.geteuid() if account is None else account.uid
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            status = folder.lstat()
            if folder.is_symlink() or status.st_uid not in {os.geteuid(), uid}:
                raise DataDirectoryError(f"the socket folder {folder} belongs to somebody else: remove it") from None
        if account is not None:
            os.chown(folder, account.uid, account.gid, follow_symlinks=False)
        folder.chmod(0o700)
        for left in folder.glob(".s.PGSQL.*"):
            left.unlink()

    def read_access(self) -> Access | None:
        """Return the remembered port and password, or None when there are none that can be read."""
        try:
            remembered = json.loads(self.access.read_text())
            return Access(int(remembered["port"]), str(remembered["password"]))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def adopt_access(self, port: int) -> Access:
        """Return how to reach a database that is running on `port` already."""
        return self._remember(port)

    def choose_access(self, port: int | None) -> Access:
        """Return the port and password to start with; what is new is remembered before it is used.

        Args:
            port: The port asked for; None keeps the remembered one while it is free, else takes a free one.

        Raises:
            PortInUseError: The port asked for is taken.
        """
        remembered = self.read_access()
        if port is not None and not _is_free(port):
            raise PortInUseError(port)
        if port is None and remembered is not None and _is_free(remembered.port):
            port = remembered.port
        return self._remember(port or _free_port())

    def _remember(self, port: int) -> Access:
        remembered = self.read_access()
        access = Access(port, remembered.password if remembered else secrets.token_urlsafe(24))
        if access != remembered:
            replace_file(self.access, json.dumps({"port": access.port, "password": access.password}), mode=0o600)
        return access

    def socket_url(self, port: int) -> str:
        """The service's own URL: the unix socket, where the folder's mode is the key."""
        return f"postgresql://{ROLE}@/{DATABASE}?host={quote(str(self.socket_folder), safe='/')}&port={port}"

    def loopback_url(self, access: Access) -> str:
        """The URL for people and their tools: loopback, with the password."""
        return f"postgresql://{ROLE}:{quote(access.password)}@{LOOPBACK}:{access.port}/{DATABASE}"


def make_folder(folder: Path) -> None:
    """Make a folder and its missing parents so that every account can pass through them, whatever the umask."""
    for step in [*reversed(folder.parents), folder]:
        if not step.exists():
            step.mkdir()
            step.chmod(0o755)


def making_folder(beside: Path) -> Path:
    """Return a new folder to make `beside` in, and remove those that killed attempts left.

    Each attempt has its own, because what a killed service had started (apt, initdb) may still be writing to the last.
    """
    prefix = f"{beside.name}.making-"
    for left in beside.parent.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=beside.parent))


def replace_file(path: Path, text: str, *, mode: int) -> None:
    """Write a file so that a crash leaves the old one or the new one, and nobody else ever reads it half made."""
    # Nothing new is not written at all: a database that died of a full disk has to start without room for a file.
    if path.exists() and path.read_text() == text:
        return
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, mode)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    fresh.replace(path)


def _free_port() -> int:
    # At random, so that two services starting at once do not choose the same; below the kernel's own range, so that no
    # outgoing connection holds the remembered port at the next start.
    while not _is_free(port := PORTS[secrets.randbelow(len(PORTS))]):
        continue
    return port


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As PostgreSQL does: connections in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
