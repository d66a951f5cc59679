"""The table of what to do about an error, held against the protocol's."""

import asyncpg
import pytest

from headrace_server.copying.connection import DATABASE_ERRORS
from headrace_server.copying.sqlstate import Action, action_for


def postgres(code: str, message: str = "refused") -> asyncpg.PostgresError:
    return asyncpg.PostgresError.new({"C": code, "M": message, "S": "ERROR", "V": "ERROR"})


@pytest.mark.parametrize(
    ("codes", "action"),
    [
        ("08000 08003 08006 57P01 57P02 57P03 58000 58030 25P03 25P04", Action.RECONNECT),
        ("25006", Action.RECONNECT_ALL),
        ("40001 40P01 40003 55P03 57014", Action.RETRY),
        ("53100 53300 53400", Action.WAIT),
        ("53200", Action.SPLIT),
        ("23505", Action.PROBE),
        ("0A000 42703 42P01 3F000", Action.RELOAD),
        ("22001 22003 22021 22P02 23502 23503 23514 54000", Action.REPAIR),
        ("42501 42601 XX001 P0001 28000 99999", Action.STOP),
    ],
    ids=lambda value: value.name if isinstance(value, Action) else value,
)
def test_every_code_has_its_action(codes: str, action: Action) -> None:
    assert {code: action_for(postgres(code)) for code in codes.split()} == dict.fromkeys(codes.split(), action)


def test_a_chunk_dropped_underneath_is_tried_again_and_other_internal_errors_are_not() -> None:
    assert action_for(postgres("XX000", "could not open relation with OID 4711")) is Action.RETRY
    assert action_for(postgres("XX000", "cache lookup failed")) is Action.STOP


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (ConnectionRefusedError(111, "refused"), Action.RECONNECT),
        (asyncpg.InterfaceError("connection is closed"), Action.RECONNECT),
        (asyncpg.InternalClientError("unknown state"), Action.RECONNECT),
        (asyncpg.TargetServerAttributeNotMatched("only standbys"), Action.RECONNECT),
        (EOFError(), Action.RECONNECT),
        (TimeoutError(), Action.SLOW),
        (asyncpg.DataError("invalid input for query argument $1: value out of int64 range"), Action.DEFECT),
    ],
    ids=lambda value: value.name if isinstance(value, Action) else type(value).__name__,
)
def test_what_a_connection_throws_is_known(error: Exception, action: Action) -> None:
    assert isinstance(error, DATABASE_ERRORS)
    assert action_for(error) is action


def test_a_defect_is_not_the_databases() -> None:
    assert not isinstance(ValueError("ours"), DATABASE_ERRORS)
    assert action_for(ValueError("ours")) is Action.STOP
