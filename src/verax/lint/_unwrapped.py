"""Which functions of a file an expression stands for, through `partial`, transforms and what calls return."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._scopes import FUNCTIONS, Function
from verax.lint._transforms import BODIES, EAGER, PARTIAL, STAGING, function_given, transform_of

EVERY = "*"  # in the place of a name: which parameters `partial` has given is not known


def returns_of(module: Module, function: Function) -> list[ast.expr]:
    """Returns what a function returns, as expressions within it."""
    if isinstance(function, ast.Lambda):
        return [function.body]
    return module.shared("returns", _returns).get(function, [])


def _returns(module: Module) -> dict[Function, list[ast.expr]]:
    found: dict[Function, list[ast.expr]] = {}
    for node in module.nodes(ast.Return):
        function = module.function(node)
        if function is not None and node.value is not None:
            found.setdefault(function, []).append(node.value)
    return found


def unwrapped(module: Module, node: ast.expr | None) -> Iterator[tuple[Function, int, frozenset[str]]]:
    """Yields functions of this file that an expression stands for, how many parameters are bound, and which by name.

    `partial`, other transforms, decorator-like calls of transforms, lists of branches, conditional expressions, methods
    of an object made from a class of this file, and calls of functions of this file that return a function are looked
    through.
    """
    return _inside(module, node, 0, frozenset(), set())


def _inside(
    module: Module, node: ast.expr | None, bound: int, named: frozenset[str], seen: set[ast.AST]
) -> Iterator[tuple[Function, int, frozenset[str]]]:
    if node is None or node in seen:
        return
    seen.add(node)
    found = module.definition(node)
    if isinstance(found, FUNCTIONS):
        is_method = (
            isinstance(node, ast.Attribute) and bool(found.args.args) and found.args.args[0].arg in ("self", "cls")
        )
        yield found, bound + is_method, named
    elif isinstance(node, ast.Name):
        value = module.value(node)
        if value is not node:
            yield from _inside(module, value, bound, named, seen)
        else:
            yield from _inside(module, _unpacked(module, node), bound, named, seen)
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Call):
        made = module.value(node.value)
        owner = module.definition(made.func) if isinstance(made, ast.Call) else None
        method = module.method(owner, node.attr) if isinstance(owner, ast.ClassDef) else None
        if method is not None:
            is_static = any(module.dotted(each) == "builtins.staticmethod" for each in method.decorator_list)
            yield method, bound + (not is_static), named
    elif isinstance(node, ast.List | ast.Tuple):
        for each in node.elts:
            yield from _inside(module, each, bound, named, seen)
    elif isinstance(node, ast.IfExp):
        yield from _inside(module, node.body, bound, named, seen)
        yield from _inside(module, node.orelse, bound, named, seen)
    elif isinstance(node, ast.Call):
        called = module.dotted(node.func)
        if called in PARTIAL and node.args:
            given = frozenset(each.arg or EVERY for each in node.keywords)
            if any(isinstance(each, ast.Starred) for each in node.args):
                given |= {EVERY}
            yield from _inside(module, node.args[0], bound + len(node.args) - 1, named | given, seen)
        elif called in STAGING or called in EAGER or called in BODIES:
            yield from _inside(module, function_given(module, node), bound, named, seen)
        elif transform_of(module, node.func) and node.args:
            yield from _inside(module, node.args[0], bound, named, seen)
        elif called is None:
            factory = module.definition(node.func)
            if isinstance(factory, ast.FunctionDef):
                for each in returns_of(module, factory):
                    yield from _inside(module, each, bound, named, seen)


def _unpacked(module: Module, node: ast.Name) -> ast.expr | None:
    """Returns the function that a factory of this file returns at the place that a name is unpacked from."""
    binding = module.binding(node)
    if binding is None or binding.kind != "assign" or not binding.path or len(binding.path) != 1:
        return None
    value = binding.value
    factory = module.definition(value.func) if isinstance(value, ast.Call) else None
    if isinstance(factory, ast.FunctionDef):
        returned = returns_of(module, factory)
        if len(returned) == 1 and isinstance(returned[0], ast.Tuple) and -1 <= binding.path[0] < len(returned[0].elts):
            return returned[0].elts[binding.path[0]]
    return None
