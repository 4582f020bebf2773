"""Flags of models as a call of them sets them: which value an expression has, where that is known."""

from __future__ import annotations

import ast
from typing import Any

from verax.lint._models import DEPTH, Frame
from verax.lint._module import Module
from verax.lint._reaching import bound, certain


class _Unknown:
    def __bool__(self) -> bool:
        raise TypeError("whether an unknown value is true is not known")


UNKNOWN: Any = _Unknown()


def evaluated(module: Module, node: ast.expr | None, frame: Frame, depth: int = 0) -> Any:
    """Returns the value of a flag, or UNKNOWN."""
    if node is None or depth > DEPTH:
        return UNKNOWN
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        binding = bound(module, node)
        if binding is not None and binding.kind == "param":
            return frame.given.get(node.id, UNKNOWN) if module.function(binding.node) is frame.function else UNKNOWN
        value = certain(module, node)
        return UNKNOWN if value is node else evaluated(module, value, frame, depth + 1)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        return frame.fields.get(node.attr, UNKNOWN)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        value = evaluated(module, node.operand, frame, depth + 1)
        return UNKNOWN if value is UNKNOWN else not value
    if isinstance(node, ast.IfExp):
        test = evaluated(module, node.test, frame, depth + 1)
        return UNKNOWN if test is UNKNOWN else evaluated(module, node.body if test else node.orelse, frame, depth + 1)
    if isinstance(node, ast.BoolOp):
        values = [evaluated(module, each, frame, depth + 1) for each in node.values]
        ends = isinstance(node.op, ast.Or)
        for each in values:
            if each is UNKNOWN:
                return UNKNOWN
            if bool(each) is ends:
                return each
        return values[-1]
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        one, other = (evaluated(module, each, frame, depth + 1) for each in (node.left, node.comparators[0]))
        if one is UNKNOWN or other is UNKNOWN:
            return UNKNOWN
        operator = node.ops[0]
        if isinstance(operator, ast.Is | ast.Eq):
            return one == other
        if isinstance(operator, ast.IsNot | ast.NotEq):
            return one != other
        if isinstance(one, int | float) and isinstance(other, int | float):
            if isinstance(operator, ast.Gt):
                return one > other
            if isinstance(operator, ast.Lt):
                return one < other
        return UNKNOWN
    if isinstance(node, ast.Call):
        called = module.dotted(node.func)
        if called == "flax.linen.merge_param" and len(node.args) == 3:
            one, other = (evaluated(module, each, frame, depth + 1) for each in node.args[1:])
            return one if other is None else other if one is None else UNKNOWN
        if called == "builtins.bool" and len(node.args) == 1:
            value = evaluated(module, node.args[0], frame, depth + 1)
            return UNKNOWN if value is UNKNOWN else bool(value)
    return UNKNOWN
