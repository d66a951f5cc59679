"""Which files are mutated, and which tests are asked about each.

Asked are the tests of the room that a file stands in, the quick ones first: most mutants are dead after a few of them.
A survivor is one that *these* tests let pass; `make test` runs others that may notice it.
"""

from __future__ import annotations

_CLIENT, _SERVER = "client/headrace", "server/headrace_server"
_UNIT, _COPYING = "tests/unit/client", "tests/integration/copying"

_SPOOL = (
    f"{_UNIT}/spool/test_store.py",
    f"{_UNIT}/spool/test_directory.py",
    f"{_UNIT}/spool/test_spool.py",
    f"{_UNIT}/sending/test_spooled_window.py",
    f"{_UNIT}/test_spooling.py",
)

TESTS_OF: dict[str, tuple[str, ...]] = {
    f"{_CLIENT}/spool/directory.py": _SPOOL,
    f"{_CLIENT}/spool/spool.py": _SPOOL,
    f"{_CLIENT}/spool/store.py": (*_SPOOL, f"{_UNIT}/spool/test_damage.py"),
    f"{_CLIENT}/sending/window.py": (
        f"{_UNIT}/sending/test_window.py",
        f"{_UNIT}/sending/test_spooled_window.py",
        f"{_UNIT}/sending/test_session.py",
        f"{_UNIT}/test_client.py",
    ),
    f"{_CLIENT}/sending/session.py": (
        f"{_UNIT}/sending/test_session.py",
        f"{_UNIT}/sending/test_session_machine.py",
        f"{_UNIT}/publishing/test_publish.py",
        f"{_UNIT}/test_client.py",
        f"{_UNIT}/test_lifetime.py",
    ),
    f"{_CLIENT}/sending/lane.py": (
        f"{_UNIT}/sending/test_session.py",
        f"{_UNIT}/test_client.py",
        f"{_UNIT}/test_spooling.py",
        f"{_UNIT}/test_lifetime.py",
    ),
    f"{_SERVER}/copying/ledger.py": (f"{_COPYING}/test_ledger.py", f"{_COPYING}/test_parts.py"),
    f"{_SERVER}/copying/repair.py": (f"{_COPYING}/test_repair.py", f"{_COPYING}/test_troubles.py"),
    f"{_SERVER}/copying/search.py": (f"{_COPYING}/test_repair.py", f"{_COPYING}/test_repeats.py"),
    f"{_SERVER}/copying/sqlstate.py": (
        "tests/unit/server/copying/test_sqlstate.py",
        f"{_COPYING}/test_troubles.py",
        f"{_COPYING}/test_connections.py",
    ),
}
