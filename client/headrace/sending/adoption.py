"""Adoption: what processes that are gone have left in the spool directory is sent by those that live.

A thread looks for folders whose lock is free, at the start and every minute, and takes them one after the other: each
store gets a session under its own producer_id, so that its batches keep their seqs and whatever was committed already
is recognised. A store whose session is refused is left as it is, for a process with another key; files that cannot be
read are set aside and told. A forked child adopts nothing: its parent does.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from headrace.connecting.channel import Link, leave_to_parent
from headrace.deadline import Deadline
from headrace.errors import HeadraceError
from headrace.logged.counters import Counters
from headrace.sending.notices import Notices
from headrace.sending.receipts import LostReceipt, receipt_of
from headrace.sending.session import Session
from headrace.sending.spooled_window import SpooledWindow
from headrace.sending.window import Receipt
from headrace.settings import Settings
from headrace.spool.directory import SpoolFolder
from headrace.spool.spool import Spool
from headrace.spool.store import SpoolDamagedError, SpoolFullError, SpoolStore, set_aside

EVERY_S = 60.0
_GOODBYE_S = 5.0
_TICK_S = 1.0

logger = logging.getLogger("headrace")


class Adoption:
    """Sends what others have left, until it is closed.

    Args:
        spool: The spool of this process, and the way to the directory.
        link: Where the service is.
        settings: The client's settings.
        notices: Warnings and callbacks.

    Attributes:
        counters: What became of the rows; they are in no counter of this client's lanes.
    """

    def __init__(self, spool: Spool, link: Link, settings: Settings, notices: Notices) -> None:
        self.counters = Counters()
        self._spool = spool
        self._link = link
        self._settings = settings
        self._notices = notices
        self._refused: set[Path] = set()
        self._folder: SpoolFolder | None = None
        self._session: Session | None = None
        self._changing = threading.Lock()
        self._hang_ups = 0
        self._looked = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="headrace-adoption", daemon=True)
        self._thread.start()

    def close(self, deadline: Deadline) -> None:
        """End, but for a first look through the directory, which has until `deadline`; what is not sent stays there."""
        while not deadline.has_passed and not self._looked.wait(min(deadline.left_s, _TICK_S)):
            pass
        self._closing.set()
        with self._changing:
            if self._session is not None:
                with self._session.window.changed:
                    self._session.window.changed.notify_all()
        self._thread.join(_GOODBYE_S)

    def before_fork(self, deadline: Deadline) -> None:
        """Leave the network while the process forks."""
        with self._changing:
            self._hang_ups += 1
            if self._session is not None:
                self._session.hang_up(deadline)

    def after_fork_in_parent(self) -> None:
        """Go on."""
        with self._changing:
            self._hang_ups -= 1
            if self._session is not None:
                self._session.resume()

    def after_fork_in_child(self) -> None:
        """Leave it all to the parent, the lock of what it has adopted, too."""
        leave_to_parent((self._session, self._thread))
        if self._folder is not None:
            self._folder.leave_to_parent()

    def _run(self) -> None:
        while True:
            try:
                for folder in self._spool.directory.abandoned():
                    self._adopt(folder)
                    if self._closing.is_set():
                        return
            except Exception:
                logger.exception("adopting spools has failed; it is tried again")
            self._looked.set()
            if self._closing.wait(EVERY_S):
                return

    def _adopt(self, folder: SpoolFolder) -> None:
        self._folder = folder
        try:
            for file in folder.files():
                if file not in self._refused and not self._closing.is_set():
                    self._send(file)
        finally:
            self._folder = None
            folder.release()

    def _send(self, file: Path) -> None:
        """Send what a file holds, and remove it."""
        try:
            store = self._spool.open(file)
        except SpoolDamagedError as error:
            logger.error("%s; it is kept at %s", error, set_aside(file))
            self.counters.count_damaged()
            self._notices.error(error)
            return
        except SpoolFullError as error:  # the next look tries again
            self._notices.warn(error.reason, str(error))
            return
        if store.first_seq == store.next_seq:
            store.close()
            return
        logger.info("adopting %d batches of producer %s", store.next_seq - store.first_seq, store.producer_id)
        try:
            self._converse(file, store)
        finally:
            store.close()

    def _converse(self, file: Path, store: SpoolStore) -> None:
        window = spooled_window(store, self._settings, self.counters, self._notices)
        session = Session(
            self._link,
            project=store.project,
            settings=self._settings,
            counters=self.counters,
            notices=self._notices,
            holding=None,
            name="headrace-adopted-session",
            window=window,
        )
        with self._changing:
            for _ in range(self._hang_ups):
                session.hang_up(Deadline(0.0))
            self._session = session
        session.start()
        with window.changed:
            while len(window) and window.failure is None and not self._closing.is_set():
                window.changed.wait(_TICK_S)
        if window.failure is not None:
            self._refused.add(file)
        session.close(Deadline(0.0 if len(window) else _GOODBYE_S))
        with self._changing:
            self._session = None


def spooled_window(store: SpoolStore, settings: Settings, counters: Counters, notices: Notices) -> SpooledWindow:
    """Return the window of a store; its losses are counted and told, its troubles warned of."""

    def lost(error: HeadraceError, rows: int, awaited: Receipt | None) -> LostReceipt:
        counters.count_dropped(error.reason, rows)
        counters.count_damaged()
        return LostReceipt(notices, error, rows, awaited)

    def on_trouble(error: HeadraceError) -> None:
        notices.warn(error.reason, str(error))

    return SpooledWindow(settings.window_bytes, store, lambda batch: receipt_of(batch, notices), lost, on_trouble)
