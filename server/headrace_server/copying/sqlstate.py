"""What to do about an error of the database, by SQLSTATE: one table.

Classes and codes are PostgreSQL's (appendix "PostgreSQL Error Codes"). The rule behind the table: what may be good is
never dead-lettered, what can never succeed is never retried.
"""

from enum import Enum

import asyncpg

from headrace_server.copying.connection import DATABASE_ERRORS


class Action(Enum):
    """What the copier does next."""

    RECONNECT = "the connection or the server is gone: connect again, then ask the ledger what was committed"
    RECONNECT_ALL = "the server has become read-only: every connection is to the wrong server"
    RETRY = "another transaction was in the way: the same group again"
    WAIT = "the server is out of something: pause, then the same group again"
    SPLIT = "too much for one transaction: half of the group at a time"
    SLOW = (
        "a statement ran out of its time, so that nobody knows what it did: connect again, half of the group at a time"
    )
    PROBE = "a repeat met the unique index: tell repeats apart, then the rest again"
    RELOAD = "the table has changed underneath: read the schema again, then once more"
    REPAIR = "a row is bad: to the repair lane, which finds it"
    DEFECT = "we asked for what cannot be: to the repair lane, which finds the batch that makes us do so"
    STOP = "not understood: try a little, then stop this model and raise the alarm"


_BY_CODE = {
    "55P03": Action.RETRY,
    "25006": Action.RECONNECT_ALL,
    "25P03": Action.RECONNECT,  # the server ended a transaction of ours that had stood still
    "25P04": Action.RECONNECT,
    "53200": Action.SPLIT,
    "23505": Action.PROBE,
    "0A000": Action.RELOAD,
    "42703": Action.RELOAD,
    "42P01": Action.RELOAD,
    "3F000": Action.RELOAD,
    "57014": Action.RETRY,
}
_BY_CLASS = {
    "08": Action.RECONNECT,
    "40": Action.RETRY,
    "53": Action.WAIT,
    "57": Action.RECONNECT,
    "58": Action.RECONNECT,
    "22": Action.REPAIR,
    "23": Action.REPAIR,
    "54": Action.REPAIR,
}


def action_for(error: BaseException) -> Action:
    """Decide what an error met in a commit asks for."""
    if _is_unsendable(error):
        return Action.DEFECT
    if isinstance(error, asyncpg.PostgresError):
        code = error.sqlstate or ""
        if code == "XX000" and "could not open relation" in str(error):
            return Action.RETRY  # a chunk was dropped underneath
        return _BY_CODE.get(code) or _BY_CLASS.get(code[:2]) or Action.STOP
    if isinstance(error, TimeoutError):
        return Action.SLOW
    if isinstance(error, DATABASE_ERRORS):
        return Action.RECONNECT
    return Action.STOP


def _is_unsendable(error: BaseException) -> bool:
    """Whether asyncpg cannot send an argument: it says so by PostgreSQL's own class, but for the severity."""
    return isinstance(error, asyncpg.DataError) and error.severity is None
