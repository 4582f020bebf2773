"""What expressions look like that say something of traced values."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._scopes import Function
from verax.lint._taint_names import TESTS_OF_KIND


def arguments_of(call: ast.Call) -> Iterator[ast.expr]:
    """Yields the arguments of a call."""
    yield from (each.value if isinstance(each, ast.Starred) else each for each in call.args)
    yield from (each.value for each in call.keywords)


def names_tested_for_kind(module: Module, test: ast.expr) -> list[str]:
    """Returns the names whose kind a test asks for, with `isinstance` and the like."""
    if not isinstance(test, ast.Call | ast.BoolOp | ast.UnaryOp | ast.Compare):
        return []
    found: list[str] = []
    for each in ast.walk(test):
        if isinstance(each, ast.Call) and each.args:
            name = module.dotted(each.func) or ""
            if name in TESTS_OF_KIND or "concrete" in name:
                found += [one.id for one in ast.walk(each.args[0]) if isinstance(one, ast.Name)] or ["?"]
    return found


def binds(node: ast.AST, name: str) -> bool:
    """Returns whether anything within a node binds a name."""
    names = (each for each in ast.walk(node) if isinstance(each, ast.Name) and each.id == name)
    return any(isinstance(each.ctx, ast.Store) for each in names)


def is_generator(module: Module, function: Function) -> bool:
    """Returns whether a function yields."""
    owners: set[ast.AST | None] = module.shared(
        "generators", lambda module: {module.function(each) for each in module.nodes(ast.Yield, ast.YieldFrom)}
    )
    return function in owners


def is_static_method(module: Module, function: Function) -> bool:
    """Returns whether a function is a method without `self`."""
    return not isinstance(function, ast.Lambda) and any(
        module.dotted(each) == "builtins.staticmethod" for each in function.decorator_list
    )


def last_part(node: ast.AST | None) -> str | None:
    """Returns the last part of a name, written as one or as a string; None where a node is neither."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Name):
        return node.id
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def path_of(node: ast.expr) -> str | None:
    """Returns a name with attributes as it is written: `state.params`; None where a node is something else."""
    if isinstance(node, ast.Attribute):
        base = path_of(node.value)
        return None if base is None else f"{base}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else None


def is_none(node: ast.AST) -> bool:
    """Returns whether a node is `None`."""
    return isinstance(node, ast.Constant) and node.value is None


def is_string(node: ast.AST) -> bool:
    """Returns whether a node is a string."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def is_strings(node: ast.AST) -> bool:
    """Returns whether a node is a tuple, list or set of strings."""
    return isinstance(node, ast.Tuple | ast.List | ast.Set) and bool(node.elts) and all(map(is_string, node.elts))


def is_number(node: ast.AST) -> bool:
    """Returns whether a node is a number, with or without a sign."""
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool)
