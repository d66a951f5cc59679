"""Settings are checked whole, and each is documented."""

from __future__ import annotations

import ast
import inspect
import itertools
from dataclasses import fields

import pytest

from headrace import InvalidArgumentError, Overflow, Settings, settings


def test_all_faults_are_named_at_once_with_key_and_value() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Settings(buffer_rows=0, linger_ms=-1, overflow="DROP", backoff_max_s=0.01)  # type: ignore[arg-type]
    message = str(caught.value)
    for fault in ("buffer_rows=0", "linger_ms=-1", "overflow='DROP'", "backoff_max_s=0.01"):
        assert fault in message


def test_an_unknown_setting_is_an_error() -> None:
    with pytest.raises(TypeError, match="buffer_row"):
        Settings(buffer_row=1)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "field", [f.name for f in fields(Settings) if isinstance(f.default, int | float) and f.name != "strict"]
)
def test_no_number_may_be_negative(field: str) -> None:
    with pytest.raises(InvalidArgumentError, match=field):
        Settings(**{field: -1})  # type: ignore[arg-type]


def test_the_default_never_blocks_and_never_raises() -> None:
    assert (Settings().policy, Settings().strict) == (Overflow.DROP_NEWEST, False)


def test_every_setting_says_below_it_what_it_is_for() -> None:
    tree = ast.parse(inspect.getsource(settings))
    (body,) = [n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Settings"]
    documented = {
        field.target.id
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr)
    }
    assert documented == {field.name for field in fields(Settings)}


def test_a_spool_directory_makes_spooling_the_policy_and_spooling_needs_one() -> None:
    assert Settings(spool_dir="/tmp/spool").policy is Overflow.SPOOL
    assert Settings(spool_dir="/tmp/spool", overflow=Overflow.BLOCK).policy is Overflow.BLOCK
    with pytest.raises(InvalidArgumentError, match="needs spool_dir"):
        Settings(overflow=Overflow.SPOOL)
    with pytest.raises(InvalidArgumentError, match="spool_durability='disk'"):
        Settings(spool_dir="/tmp/spool", spool_durability="disk")  # type: ignore[arg-type]
