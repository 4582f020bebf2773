"""How many axes an array has, where the text alone shows it."""

from __future__ import annotations

import ast

from verax.lint._module import Module, argument

FLAT = frozenset(f"jax.numpy.{name}" for name in ("arange", "ravel", "flatnonzero"))
FILLED = frozenset(f"jax.numpy.{name}" for name in ("zeros", "ones", "empty", "full"))
ARRAYS = frozenset(f"jax.numpy.{name}" for name in ("array", "asarray"))
WHOLE = ("all", "any", "count_nonzero", "ravel", "sum")  # the same of a mask, however it is shaped


def is_flat(module: Module, node: ast.expr) -> bool:
    """Returns whether an expression is certainly an array of one axis."""
    if isinstance(node, ast.Name):
        bound = module.bindings(node)
        value = bound[0].value if len(bound) == 1 and bound[0].kind == "assign" and bound[0].path == () else None
        return isinstance(value, ast.Call) and is_flat(module, value)
    if not isinstance(node, ast.Call):
        return False
    name, given = module.dotted(node.func), node.args
    if name in FLAT:
        return True
    if name in FILLED:
        shape = argument(node, 0, "shape")
        return _is_whole_number(shape) or (isinstance(shape, ast.Tuple | ast.List) and _is_one(shape.elts))
    if name in ARRAYS:
        content = argument(node, 0, "object", "a")
        return (
            isinstance(content, ast.List | ast.Tuple)
            and all(_is_number(each) for each in content.elts)
            and not any(each.arg == "ndmin" for each in node.keywords)
        )
    if name == "jax.numpy.reshape":
        return len(given) == 2 and _is_minus_one(given[1:])
    if isinstance(node.func, ast.Attribute) and name is None:
        method = node.func.attr
        return method in ("ravel", "flatten") or (method == "reshape" and _is_minus_one(given))
    return False


def is_shape_lost(module: Module, node: ast.expr) -> bool:
    """Returns whether what an array of truth values goes into is the same for each shape that it can have."""
    around = module.parents.get(node)
    if isinstance(around, ast.Attribute):
        call = module.parents.get(around)
        if not isinstance(call, ast.Call) or call.func is not around or call.keywords:
            return False
        return around.attr == "reshape" or (around.attr in (*WHOLE, "flatten") and not call.args)
    if not isinstance(around, ast.Call) or around.args[:1] != [node] or around.keywords:
        return False
    name = module.dotted(around.func) or ""
    if name == "jax.numpy.reshape":
        return len(around.args) == 2
    return len(around.args) == 1 and name in {f"jax.numpy.{each}" for each in WHOLE}


def _is_number(node: ast.expr) -> bool:
    node = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float | complex)


def _is_whole_number(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int)


def _is_one(nodes: list[ast.expr]) -> bool:
    return len(nodes) == 1 and not isinstance(nodes[0], ast.Starred)


def _is_minus_one(nodes: list[ast.expr]) -> bool:
    """Returns whether a shape is `-1`, alone or in a tuple."""
    shape = nodes[0] if len(nodes) == 1 else None
    if isinstance(shape, ast.Tuple | ast.List) and len(shape.elts) == 1:
        shape = shape.elts[0]
    return isinstance(shape, ast.UnaryOp) and ast.unparse(shape) == "-1"
