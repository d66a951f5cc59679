"""A mutant is the file with one change that matters; what no test is to promise is left as it is."""

from __future__ import annotations

import ast
from textwrap import dedent

import pytest

from mutation.copies import ROOT
from mutation.mutants import mutants_of
from mutation.targets import TESTS_OF


def changed(code: str) -> list[str]:
    """The lines that differ, of each mutant."""
    text = dedent(code).strip()
    lines = text.splitlines()
    return [
        " | ".join(now for now, was in zip(mutant.text.splitlines(), lines, strict=True) if now != was).strip()
        for mutant in mutants_of(text)
    ]


@pytest.mark.parametrize(
    ("line", "mutants"),
    [
        ("return a < b", ["return None", "return a <= b"]),
        ("a.b = not c", ["pass", "a.b = (c)"]),
        ("while a.b: c.d()", ["while not (a.b): c.d()", "while a.b: pass"]),
        ("e = a if b else 2", ["e = a if (not (b)) else 2", "e = a if b else 3"]),
        ("e = a and b or True", ["e = ((a and b) and True)", "e = (a or b) or True", "e = a and b or False"]),
        ("while not a: c.d()", ["while (a): c.d()", "while not a: pass"]),
        ("return False", ["return True"]),
        ("raise a", ["pass"]),
        ("await a.b(c)", ["pass"]),
        ("a += b - c", ["pass", "a += (b + c)"]),
        ("'é' if a is None else b", ["'é' if a is not None else b"]),
        ("log.info(1)", []),
        ("assert a is not None", []),
        ("c = zip(a, b, strict=True)", []),
        ("c = f'{a + 1}'", []),
    ],
)
def test_what_decides_and_what_does_is_changed(line: str, mutants: list[str]) -> None:
    assert changed(f"async def f(a, b, c):\n    {line}") == mutants


def test_a_table_loses_each_of_its_entries_and_sql_has_its_conditions_turned() -> None:
    assert changed("T = {'a': 1, 'b': 2}\nS = 3\nQ = 'SELECT a FROM b WHERE c <= d AND e'") == [
        "T = {'b': 2}  # without 'a': …",
        "T = {'a': 1}  # without 'b': …",
        'Q = """SELECT a FROM b WHERE c < d AND e"""',
        'Q = """SELECT a FROM b WHERE c <= d OR e"""',
    ]


def test_each_mutant_is_python_and_unlike_the_file() -> None:
    (file,) = (file for file in TESTS_OF if file.endswith("sqlstate.py"))
    text = (ROOT / file).read_text()
    for mutant in mutants_of(text):
        assert ast.dump(ast.parse(mutant.text)) != ast.dump(ast.parse(text)), mutant


@pytest.mark.parametrize("file", TESTS_OF)
def test_the_tests_that_are_asked_are_there(file: str) -> None:
    assert [test for test in TESTS_OF[file] if not (ROOT / test).exists()] == []
