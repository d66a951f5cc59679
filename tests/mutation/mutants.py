"""The mutants of a file: each is the file's text with one small change, found in its syntax tree.

Changed are what decides and what does: comparisons, `and`, `or`, `not`, conditions, numbers, booleans, sums, returned
values, calls and assignments to attributes (left out), entries of tables, and the conditions inside SQL. Left alone are
what no test is to promise (lines of the log, assertions for the type checker, figures at the top of a module, which are
tuned and not derived) and what any test would notice (the attributes that a constructor sets).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

_OTHER_COMPARISON: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OTHER_SUM: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
}
_CHANGED_BY_THEMSELVES = (ast.Constant, ast.Compare, ast.BoolOp, ast.UnaryOp)  # as conditions
_OTHER_SQL = ((" <= ", " < "), (" < ", " <= "), ("greatest(", "least("), (" + ", " - "), (" AND ", " OR "))
_IS_SQL = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM)\b")
_TOLD_TO_PEOPLE = {"log", "logger"}
_FAILPOINTS = "failpoints"  # what ends the service at a step, in tests alone


@dataclass(frozen=True)
class Mutant:
    """A file with one change.

    Attributes:
        line: Where the change is.
        change: What it is, for people.
        text: The whole file.
    """

    line: int
    change: str
    text: str


def mutants_of(text: str) -> list[Mutant]:
    """Return every mutant of a file, in the order of its lines."""
    begins = [0]
    for line in text.splitlines(keepends=True):
        begins.append(begins[-1] + len(line.encode()))
    encoded = text.encode()  # columns of a syntax tree count bytes
    mutants = []
    for node, now in _changes(ast.parse(text)):
        start = begins[node.lineno - 1] + node.col_offset
        end = begins[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        was = encoded[start:end].decode()
        same = next((at for at, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), min(len(was), len(now)))
        changed = (encoded[:start] + now.encode() + encoded[end:]).decode()
        mutants.append(Mutant(node.lineno + was[:same].count("\n"), _told(was, now, same), changed))
    return sorted(mutants, key=lambda mutant: mutant.line)


def _told(was: str, now: str, same: int) -> str:
    """What has changed, with a little of what is around it where it is long."""
    if "  # without " in now:
        return f"without {now.rpartition('  # without ')[2]}"
    begin = max(0, same - 24)
    return "  →  ".join(" ".join(code[begin : begin + 72].split()) for code in (was, now))


Changed = tuple[ast.stmt | ast.expr, str]


def _changes(module: ast.Module) -> Iterator[Changed]:
    for statement in module.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            yield from _of_tables(statement)
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _within(statement)


def _of_tables(statement: ast.Assign | ast.AnnAssign) -> Iterator[Changed]:
    """Of what a module begins with: entries of its tables, and the conditions of its SQL."""
    value = statement.value
    if isinstance(value, ast.Dict):
        for key in value.keys:
            left = [(k, v) for k, v in zip(value.keys, value.values, strict=True) if k is not key]
            entry = f"{ast.unparse(key)}: …" if key is not None else "**…"
            yield value, ast.unparse(ast.Dict([k for k, _ in left], [v for _, v in left])) + f"  # without {entry}"
    elif isinstance(value, ast.Constant) and isinstance(value.value, str) and _IS_SQL.search(value.value):
        for old, new in _OTHER_SQL:
            for found in re.finditer(re.escape(old), value.value):
                yield value, f'"""{value.value[: found.start()]}{new}{value.value[found.end() :]}"""'


def _within(node: ast.AST) -> Iterator[Changed]:
    """Of everything inside a function or class, but for what no test is to promise."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            if _is_for_people(child):
                continue
            if not (isinstance(node, ast.FunctionDef) and node.name == "__init__" and isinstance(child, ast.Assign)):
                yield from _of_statement(child)
        if isinstance(child, ast.JoinedStr) or _is_annotation(node, child) or _is_strictness(child):
            continue  # text for people, what runs nowhere, and what never comes true
        if isinstance(child, ast.expr):
            yield from _of_expression(child)
        yield from _within(child)


def _is_for_people(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assert):
        return True
    if not isinstance(statement, ast.Expr):
        return False
    value = statement.value.value if isinstance(statement.value, ast.Await) else statement.value
    if isinstance(value, ast.Constant):
        return True
    called = value.func if isinstance(value, ast.Call) else None
    owner = called.value if isinstance(called, ast.Attribute) else called
    return isinstance(owner, ast.Name) and owner.id in {*_TOLD_TO_PEOPLE, _FAILPOINTS}


def _is_annotation(parent: ast.AST, child: ast.AST) -> bool:
    if isinstance(parent, ast.AnnAssign | ast.arg):
        return child is parent.annotation
    if isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef):
        return child is parent.returns or child in parent.decorator_list
    return isinstance(parent, ast.ClassDef) and child in [*parent.bases, *parent.decorator_list]


def _is_strictness(child: ast.AST) -> bool:
    """Whether it is `strict=True` of a zip() of what is equally long."""
    return isinstance(child, ast.keyword) and child.arg == "strict"


def _of_statement(statement: ast.stmt) -> Iterator[Changed]:
    match statement:
        case ast.Expr(ast.Call() | ast.Await()) | ast.AugAssign() | ast.Delete():
            yield statement, "pass"
        case ast.Assign([ast.Attribute()]):
            yield statement, "pass"
        case ast.Return(ast.expr() as value) if not (isinstance(value, ast.Constant) and not value.value):
            yield statement, "return None"
        case ast.Raise(ast.expr()):
            yield statement, "pass"
        case ast.If(test) | ast.While(test) if not isinstance(test, _CHANGED_BY_THEMSELVES):
            yield test, f"not ({ast.unparse(test)})"
        case _:
            pass


def _of_expression(expression: ast.expr) -> Iterator[Changed]:
    match expression:
        case ast.Compare(left, [operator], [right]):
            yield expression, ast.unparse(ast.Compare(left, [_OTHER_COMPARISON[type(operator)]()], [right]))
        case ast.BoolOp(operator, values):
            other = ast.Or() if isinstance(operator, ast.And) else ast.And()
            yield expression, f"({ast.unparse(ast.BoolOp(other, values))})"
        case ast.BinOp(left, operator, right) if type(operator) in _OTHER_SUM:
            yield expression, f"({ast.unparse(ast.BinOp(left, _OTHER_SUM[type(operator)](), right))})"
        case ast.UnaryOp(ast.Not(), operand):
            yield expression, f"({ast.unparse(operand)})"
        case ast.IfExp(test) if not isinstance(test, _CHANGED_BY_THEMSELVES):
            yield test, f"(not ({ast.unparse(test)}))"
        case ast.Constant(bool() as value):
            yield expression, repr(not value)
        case ast.Constant(int() | float() as value):
            yield expression, repr(value + 1)
        case _:
            pass
