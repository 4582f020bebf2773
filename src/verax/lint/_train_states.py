"""What the train states of a file are made with."""

from __future__ import annotations

import ast

from verax.lint._module import Module


def created_with(module: Module, name: str) -> list[ast.expr]:
    """Returns what the calls of `create` of a file give by a keyword: `tx` of `TrainState.create(tx=tx)`."""
    return [
        each.value
        for call in module.nodes(ast.Call)
        if isinstance(call.func, ast.Attribute) and call.func.attr == "create"
        for each in call.keywords
        if each.arg == name
    ]
