import asyncpg
import pytest
from asyncpg.exceptions import _base

from headrace_server.errors import DatabaseUnavailableError, ModelNotFoundError
from headrace_server.storage.outage import told_as_unavailable


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(111, "refused"),
        TimeoutError(),
        asyncpg.ConnectionDoesNotExistError("gone"),
        asyncpg.TooManyConnectionsError("too many"),
        asyncpg.AdminShutdownError("stopping"),
        asyncpg.CannotConnectNowError("starting"),
        asyncpg.ReadOnlySQLTransactionError("standby now"),
        asyncpg.TargetServerAttributeNotMatched("only standbys"),
        asyncpg.LockNotAvailableError("busy"),
        asyncpg.DeadlockDetectedError("deadlock"),
        asyncpg.InterfaceError("connection is closed"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_outage_is_worth_another_try(error: Exception) -> None:
    with pytest.raises(DatabaseUnavailableError) as caught, told_as_unavailable():
        raise error
    assert caught.value.__cause__ is error
    assert not caught.value.message.endswith(": ")


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.UniqueViolationError("twice"),
        asyncpg.PostgresSyntaxError("typo"),
        asyncpg.DataError("invalid input syntax for type bigint"),
        _base.DataError("invalid input for query argument $1: value out of int64 range"),
        ModelNotFoundError("no such model"),
        ZeroDivisionError(),
    ],
    ids=lambda error: f"{type(error).__module__}.{type(error).__name__}",
)
def test_everything_else_passes_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, told_as_unavailable():
        raise error
    assert caught.value is error
