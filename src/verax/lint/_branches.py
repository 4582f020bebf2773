"""Python control flow that asks for the truth of traced values."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Literal

from verax.lint._module import Module
from verax.lint._taint import taint
from verax.lint._taint_levels import FLAG, TREE, is_array


@dataclass(frozen=True, eq=False)
class Branch:
    """A place where Python asks whether a traced value is true.

    Attributes:
      test: the expression asked for.
      kind: of what: `if`, `while`, `assert`, ...
      flags: the parameters it asks for, where they are meant as flags; else empty.
    """

    test: ast.expr
    kind: Literal[
        "if", "while", "assert", "conditional", "comprehension", "and/or", "not", "comparison", "match", "max/min"
    ]
    flags: tuple[ast.Name, ...]


def branches(module: Module) -> list[Branch]:
    """Returns the branches on traced values in staged code, one a statement or expression."""
    return module.shared("branches", _branches)


def _branches(module: Module) -> list[Branch]:
    known = taint(module)
    if not known.staged:
        return []
    found: list[Branch] = []
    tests: set[ast.expr] = set()

    def add(test: ast.expr, kind: str) -> None:
        tests.add(test)
        level = known.of(test)
        if is_array(level):
            found.append(Branch(test, kind, ()))  # type: ignore[arg-type]
        elif level == FLAG:
            names = [each for each in ast.walk(test) if isinstance(each, ast.Name) and known.of(each) in (FLAG, TREE)]
            flags = [each for each in names if known.of(each) == FLAG] or names
            found.append(Branch(test, kind, tuple(flags)))  # type: ignore[arg-type]

    for node in module.nodes(ast.If):
        add(node.test, "if")
    for node in module.nodes(ast.While):
        add(node.test, "while")
    for node in module.nodes(ast.Assert):
        add(node.test, "assert")
    for node in module.nodes(ast.IfExp):
        add(node.test, "conditional")
    for node in module.nodes(ast.comprehension):
        for each in node.ifs:
            add(each, "comprehension")
    for node in module.nodes(ast.match_case):
        if node.guard is not None:
            add(node.guard, "match")
    for node in module.nodes(ast.Match):
        if known.of(node.subject) and any(_compares(each.pattern) for each in node.cases):
            level = known.of(node.subject)
            strings = any(
                isinstance(each, ast.Constant) and isinstance(each.value, str)
                for case in node.cases
                for each in ast.walk(case.pattern)
            )
            if isinstance(node.subject, ast.Name) and (level == FLAG or (level == TREE and strings)):
                found.append(Branch(node.subject, "match", (node.subject,)))
            elif level >= TREE and not strings:
                found.append(Branch(node.subject, "match", ()))
    for node in module.nodes(ast.BoolOp):
        if any(is_array(known.of(each)) for each in node.values[:-1]) and not _inside(module, node, tests):
            found.append(Branch(node, "and/or", ()))
    for node in module.nodes(ast.UnaryOp):
        if isinstance(node.op, ast.Not) and is_array(known.of(node.operand)) and not _inside(module, node, tests):
            found.append(Branch(node, "not", ()))
    for node in module.nodes(ast.Compare):
        if len(node.ops) > 1 and is_array(known.of(node)) and not _inside(module, node, tests):
            found.append(Branch(node, "comparison", ()))
    for node in module.nodes(ast.Call):
        if len(node.args) < 2 or module.dotted(node.func) not in ("builtins.max", "builtins.min"):
            continue
        levels = [known.of(each) for each in node.args]
        has_number = any(isinstance(each, ast.Constant) for each in node.args)
        if any(is_array(each) for each in levels) or (TREE in levels and has_number):
            found.append(Branch(node, "max/min", ()))
    return found


def _inside(module: Module, node: ast.expr, tests: set[ast.expr]) -> bool:
    """Returns whether an expression is part of a test, or of another one, that is reported itself."""
    known = taint(module)
    if node in tests:
        return True
    for each in module.around(node):
        if isinstance(each, ast.BoolOp) or (isinstance(each, ast.UnaryOp) and isinstance(each.op, ast.Not)):
            if each in tests or is_array(known.of(each)):
                return True
        elif each in tests or not isinstance(each, ast.expr):
            return each in tests
        else:
            return False
    return False


def _compares(pattern: ast.pattern) -> bool:
    return isinstance(pattern, ast.MatchValue) or (
        isinstance(pattern, ast.MatchOr) and any(_compares(each) for each in pattern.patterns)
    )
