"""Annotations in quotes, read as those without."""

from __future__ import annotations

import ast
from typing import overload

from verax.lint._module import Module


@overload
def unquoted(module: Module, node: ast.expr) -> ast.expr: ...
@overload
def unquoted(module: Module, node: None) -> None: ...
def unquoted(module: Module, node: ast.expr | None) -> ast.expr | None:
    """Returns the expression that an annotation in quotes has; any other one, and what does not parse, as it is.

    Its names stand for what they would without the quotes.
    """
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return node
    known: dict[ast.expr, ast.expr] = module.shared("in quotes", lambda _: {})
    if node not in known:
        known[node] = _parsed(module, node, node.value)
    return known[node]


def _parsed(module: Module, node: ast.expr, text: str) -> ast.expr:
    try:
        inner = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return node
    if isinstance(inner, ast.Constant):
        return node
    module.parents[inner] = module.parents[node]
    for each in ast.walk(inner):
        module.scopes[each] = module.scopes[node]
        ast.copy_location(each, node)
        for child in ast.iter_child_nodes(each):
            module.parents[child] = each
    return inner
