"""VX515: a train state whose structure grows at every step."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._reaching import certain, returned
from verax.lint._rule import Found, rule
from verax.lint._scopes import FUNCTIONS, Function
from verax.lint._traced import is_staged

GROWING = ("append", "extend", "insert")
REPLACING = ("replace", "_replace")
STATIC = ("shape", "ndim", "dtype")


@rule("VX515", "metrics-list-in-state", "warning")
def metrics_list_in_state(module: Module) -> Iterator[Found]:
    """A compiled step returns its state with a list that is one longer than before.

    Each element of a list is an argument of its own for JAX, so a longer list is another type of state: the step is
    compiled again at every call, and in `lax.scan` the carry no longer fits.

    Bad:

        @jax.jit
        def step(state, batch):
            ...
            return state.replace(losses=state.losses + [loss])

    Good:

        @jax.jit
        def step(state, batch):
            ...
            return state, loss  # the loop keeps the losses

    There is no fix: the caller must take the value. A list that grows in the loop itself, outside of what is compiled,
    is fine. What is not seen: lists that other functions make longer.
    """
    for call in module.nodes(ast.Call):
        func = call.func
        if isinstance(func, ast.Attribute) and func.attr in GROWING and isinstance(func.value, ast.Attribute):
            owner = _parameter_of(module, func.value)
            is_alone = isinstance(module.parents.get(call), ast.Expr)
            if is_alone and owner is not None and _is_returned(module, owner, func.value) and is_staged(module, call):
                yield _found(module, call, func.value)
            continue
        is_replace = isinstance(func, ast.Attribute) and func.attr in REPLACING
        if not is_replace and module.dotted(func) != "dataclasses.replace":
            continue
        for each in call.keywords:
            grown = None if each.arg is None else _grown(module, each.value)
            if grown is not None and grown.attr == each.arg and is_staged(module, call):
                yield _found(module, each.value, grown)


def _found(module: Module, node: ast.AST, grown: ast.Attribute) -> Found:
    text = module.source(grown)
    message = f"{text} is longer after every step, so the step is compiled again for each. "
    return Found(node, message + "Return the value, and keep the list outside.")


def _grown(module: Module, node: ast.expr) -> ast.Attribute | None:
    """Returns the list of a parameter that an expression is with more elements: `state.losses + [loss]`."""
    node = certain(module, node)
    old: ast.expr | None = None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        if isinstance(node.right, ast.List | ast.Tuple) and node.right.elts:
            old = node.left
        elif isinstance(node.left, ast.List | ast.Tuple) and node.left.elts:
            old = node.right
    elif isinstance(node, ast.List | ast.Tuple) and len(node.elts) > 1:
        old = next((each.value for each in node.elts if isinstance(each, ast.Starred)), None)
    old = None if old is None else certain(module, old)
    if not isinstance(old, ast.Attribute) or old.attr in STATIC:
        return None
    return old if _parameter_of(module, old) is not None else None


def _parameter_of(module: Module, node: ast.Attribute) -> Function | None:
    """Returns the function of whose parameter an expression is a part."""
    root: ast.expr = node
    while isinstance(root, ast.Attribute | ast.Subscript):
        root = root.value
    if not isinstance(root, ast.Name) or root.id in ("self", "cls"):
        return None
    binding = module.binding(root)
    if binding is None or binding.kind != "param":
        return None
    function = module.parents.get(module.parents[binding.node])
    return function if isinstance(function, FUNCTIONS) else None


def _is_returned(module: Module, function: Function, node: ast.Attribute) -> bool:
    """Returns whether a function returns the parameter that an expression is a part of, as a whole or changed."""
    root: ast.expr = node
    while isinstance(root, ast.Attribute | ast.Subscript):
        root = root.value
    assert isinstance(root, ast.Name)
    for each in returned(module, function):
        if each is None:
            continue
        elements = each.elts if isinstance(each, ast.Tuple) else [each]
        for one in elements:
            if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute) and one.func.attr in REPLACING:
                one = one.func.value
            if isinstance(one, ast.Name) and one.id == root.id:
                return True
    return False
