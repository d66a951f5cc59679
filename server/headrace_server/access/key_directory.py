"""The keys in use, remembered: a call costs a look into a dictionary and one fast hash.

What is remembered is true to within the announcement of a change, or to within RECHECK_S where an announcement was
lost: everything is read again then. Whoever holds a call open under a key is told when the key changes. While the
database is away what is known stays good: nothing can be committed meanwhile, and nothing new is let in.

Bounded: MOST_KEYS known keys, and apart from them MOST_UNKNOWN ids that do not exist, so that guesses push no good key
out; what is not remembered is looked up, LOOKUPS at a time.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

import structlog

from headrace_server.access.key_text import KeyText
from headrace_server.access.keys import Key, load_keys, note_use
from headrace_server.errors import CredentialInvalidError, HeadraceError, OverloadedError
from headrace_server.storage.outage import told_as_unavailable

if TYPE_CHECKING:
    import asyncpg

RECHECK_S = 10.0
NOTE_USE_S = 60.0
ACQUIRE_TIMEOUT_S = 10.0
LOOKUP_WAIT_S = 5.0
LOOKUPS = 2
MOST_KEYS = 10_000
MOST_UNKNOWN = 1_000
UNKNOWN_FOR_S = 5.0

# Told the key as it is now, or None: it is gone.
Watcher = Callable[[Key | None], None]

Value = TypeVar("Value")

log = structlog.get_logger(__name__)


class KeyDirectory:
    """What is known of keys in this process.

    Args:
        pool: For reading them.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._keys: OrderedDict[str, Key] = OrderedDict()
        self._unknown_until: OrderedDict[str, float] = OrderedDict()
        self._watchers: dict[str, list[Watcher]] = {}
        self._lookups = asyncio.Semaphore(LOOKUPS)
        self._used: set[str] = set()
        self._noted_at = monotonic()

    async def find(self, presented: KeyText) -> Key:
        """Return the key that was presented, when it is one and good now.

        Raises:
            CredentialInvalidError: It is not; the holder of the right secret is told why.
            DatabaseUnavailableError, OverloadedError: It has to be looked up, and that cannot be done now.
        """
        key = self._known(presented.id)
        if key is None and self._unknown_until.get(presented.id, 0.0) <= monotonic():
            key = await self._look_up(presented.id)
        if key is None or not presented.opens(key.hash):
            raise CredentialInvalidError("the key is unknown")
        if key.left_s == 0:
            raise CredentialInvalidError(
                f"the key {key.id} {'has expired' if key.revoked_at is None else 'is revoked'}"
            )
        self._used.add(key.id)
        return key

    def watch(self, key_id: str, watcher: Watcher) -> Callable[[], None]:
        """Have `watcher` called, on the event loop, with each change of a key; returns what ends this."""
        watchers = self._watchers.setdefault(key_id, [])
        watchers.append(watcher)

        def unwatch() -> None:
            watchers.remove(watcher)
            if not watchers and self._watchers.get(key_id) is watchers:
                del self._watchers[key_id]

        return unwatch

    async def read_again(self, ids: Sequence[str] | None) -> None:
        """Read keys again that matter here: those named, or with None all.

        Raises:
            DatabaseUnavailableError: The database does not answer.
        """
        held = self._keys.keys() | self._watchers.keys()
        wanted = held if ids is None else held & set(ids)
        if not wanted:
            return
        with told_as_unavailable():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                found = await load_keys(connection, wanted)
        for key_id in wanted:
            now = found.get(key_id)
            if now is None:
                self._keys.pop(key_id, None)
            elif key_id in self._keys:
                self._keys[key_id] = now
            for watcher in tuple(self._watchers.get(key_id, ())):
                watcher(now)

    async def run(self) -> None:
        """Read everything again every RECHECK_S, for as long as the service runs: an announcement may be lost."""
        while True:
            await asyncio.sleep(RECHECK_S)
            try:
                await self.read_again(None)
                await self._note_use()
            except HeadraceError as error:
                log.warning("keys_not_rechecked", error=error.message)

    def _known(self, key_id: str) -> Key | None:
        key = self._keys.get(key_id)
        if key is not None:
            self._keys.move_to_end(key_id)
        return key

    async def _look_up(self, key_id: str) -> Key | None:
        try:
            async with asyncio.timeout(LOOKUP_WAIT_S):
                await self._lookups.acquire()
        except TimeoutError:
            raise OverloadedError("many keys are being looked up: try again") from None
        try:
            if (key := self._known(key_id)) is not None:  # another call has looked it up meanwhile
                return key
            with told_as_unavailable():
                async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                    key = (await load_keys(connection, [key_id])).get(key_id)
            if key is None:
                _remember(self._unknown_until, key_id, monotonic() + UNKNOWN_FOR_S, MOST_UNKNOWN)
            else:
                _remember(self._keys, key_id, key, MOST_KEYS)
            return key
        finally:
            self._lookups.release()

    async def _note_use(self) -> None:
        if monotonic() - self._noted_at < NOTE_USE_S or not self._used:
            return
        used, self._used, self._noted_at = self._used, set(), monotonic()
        with told_as_unavailable():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                await note_use(connection, used | self._watchers.keys())


def _remember(memory: OrderedDict[str, Value], key_id: str, value: Value, most: int) -> None:
    memory[key_id] = value
    memory.move_to_end(key_id)
    if len(memory) > most:
        memory.popitem(last=False)
