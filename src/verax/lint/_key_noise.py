"""Functions that are noise and nothing else, for which the same key again is surely a mistake."""

from __future__ import annotations

import ast
import re

from verax.lint._key_names import NOISE, PAIRED, SAMPLERS, last_name
from verax.lint._key_values import Use
from verax.lint._module import Module
from verax.lint._scopes import COMPREHENSIONS, Function, Scope
from verax.lint._traced import parameters

# What calls the same function again to get something new is named for it; `init` and `reset` may want the same twice.
NOISY = re.compile(
    r"(^|_)(noise|noisy|jitter|perturbation|dropout|draw|sample|randn?|random|normal|uniform|gaussian)s?(_|$)"
)
COMPARES = re.compile(r"^(assert|check|all_?close|array_equal|is_?close|equal|print|block_until_ready|timeit)")
PARTS = ("dtype", "ndim", "shape", "size")
OPEN = (ast.Lambda, *COMPREHENSIONS, ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)


def is_noise(module: Module, function: Function, use: Use, call: ast.Call, scope: Scope) -> bool:
    """Returns whether a function without parameters gives only what it draws from a key around it, the same each time.

    `use` is that draw, and `call` a call of the function whose result is used. Only in a scope of its own may the key
    be bound anew, as the walk through it knows which one it is.
    """
    name = last_name(call.func) if isinstance(function, ast.Lambda) else function.name
    if parameters(function) or not NOISY.search(name) or use.what not in SAMPLERS - PAIRED:
        return False
    body = [function.body] if isinstance(function, ast.Lambda) else function.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    result = body[0].value if len(body) == 1 and isinstance(body[0], ast.Return) else body[0]
    if len(body) != 1 or not isinstance(result, ast.expr) or not isinstance(use.argument, ast.Name):
        return False
    key = use.argument if module.scope_of(use.argument) is scope else None
    return all(_is_fixed(module, each, key) for each in ast.walk(result)) and _is_used(module, call)


def _is_fixed(module: Module, node: ast.AST, key: ast.Name | None) -> bool:
    """Returns whether a part of an expression is the same each time."""
    if isinstance(node, ast.Call):
        return (module.dotted(node.func) or "").startswith("jax.")
    if isinstance(node, ast.Attribute):
        return module.dotted(node) is not None or node.attr in PARTS
    if isinstance(node, ast.Name) and node is not key:
        return len(module.bindings(node)) <= 1
    return not isinstance(node, OPEN)


def _is_used(module: Module, call: ast.Call) -> bool:
    """Returns whether the result of a call goes on, other than into a comparison, a print or a stopwatch."""
    for each in module.around(call):
        if isinstance(each, ast.Expr | ast.Assert | ast.Compare):
            return isinstance(each, ast.Expr) and each.value is not call
        if isinstance(each, ast.Attribute) and COMPARES.match(each.attr):
            return False
        if isinstance(each, ast.Call) and COMPARES.match(last_name(each.func)):
            return False
        if isinstance(each, ast.stmt):
            return True
    return True


def has_own_shape(module: Module, use: Use, function: Function) -> bool:
    """Returns whether a draw in a function is noise in the shape of one of its parameters."""
    if use.what not in NOISE or not isinstance(use.node, ast.Call) or module.function(use.node) is not function:
        return False
    names = {each.arg for each in parameters(function)}
    for each in ast.walk(use.node):
        owner = each.value if isinstance(each, ast.Attribute) and each.attr == "shape" else None
        if isinstance(each, ast.Call) and each.args and module.called(each) in ("jax.numpy.shape", "numpy.shape"):
            owner = each.args[0]
        if isinstance(owner, ast.Name) and owner.id in names and len(module.bindings(owner)) == 1:
            return True
    return False
