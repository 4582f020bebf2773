"""Calls that apply a model: which one, to which collections, of which some may change."""

from __future__ import annotations

import ast

from verax.lint._models import Made, made
from verax.lint._module import Module, argument, has_stars
from verax.lint._reaching import certain, is_same, leads_to
from verax.lint._train_states import created_with


def is_apply(module: Module, call: ast.Call) -> bool:
    """Returns whether a call applies a model, by its name: `model.apply(...)`, `state.apply_fn(...)`."""
    func = call.func
    if isinstance(func, ast.Name):
        if func.id.lstrip("_") in ("apply", "apply_fn", "model_apply", "apply_model"):
            return True
        func = _apply_named(module, func)
    return isinstance(func, ast.Attribute) and func.attr.lstrip("_") in ("apply", "apply_fn")


def _apply_named(module: Module, name: ast.Name) -> ast.expr:
    """Returns the `model.apply` that a name stands for, through `jit` and `partial`."""
    node: ast.expr = certain(module, name)
    while isinstance(node, ast.Call) and node.args and module.dotted(node.func) in ("jax.jit", "equinox.filter_jit"):
        inner = certain(module, node.args[0])
        if inner is node:
            break
        node = inner
    return node


def applied(module: Module, call: ast.Call) -> Made | None:
    """Returns the model that a call of `apply` or `apply_fn` applies, where the file makes it."""
    func = call.func
    if isinstance(func, ast.Name):
        func = _apply_named(module, func)
    if not isinstance(func, ast.Attribute):
        return None
    if func.attr == "apply":
        one = made(module, func.value)
    elif func.attr == "apply_fn":
        given = module.shared("apply_fn", _train_state_apply)
        one = made(module, given.value) if isinstance(given, ast.Attribute) else None
    else:
        return None
    return one if one is not None and isinstance(one.kind, ast.ClassDef) else None


def _train_state_apply(module: Module) -> ast.expr | None:
    """Returns the `model.apply` that the train states of the file are made with; None where they differ."""
    found = created_with(module, "apply_fn")
    if not found or any(not is_same(found[0], each) for each in found[1:]):
        return None
    return found[0] if isinstance(found[0], ast.Attribute) and found[0].attr == "apply" else None


def collections_given(module: Module, node: ast.expr | None) -> set[str] | None:
    """Returns the names of the collections of a dict of variables; None where they are not all known."""
    if node is None:
        return None
    if isinstance(node, ast.Name):
        value = certain(module, node)
        given = None if value is node else collections_given(module, value)
        return None if given is None else given | _put_in(module, node)
    node = certain(module, node)
    called = (module.called(node) or "").rpartition(".")[2]
    if isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
        return collections_given(module, node.args[0]) if called in ("FrozenDict", "freeze", "dict") else None
    if isinstance(node, ast.Call) and module.dotted(node.func) == "builtins.dict" and not node.args:
        return {each.arg for each in node.keywords if each.arg}
    if isinstance(node, ast.Dict):
        found: set[str] = set()
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                found |= collections_given(module, value) or set()
            elif isinstance(key, ast.Constant) and isinstance(key.value, str):
                found.add(key.value)
        return found
    return None


def _put_in(module: Module, name: ast.Name) -> set[str]:
    """Returns the collections that `name["params"] = ...` puts into a dict on every way to where its name is read."""
    binding = module.binding(name)
    return {
        each.slice.value
        for each in module.nodes(ast.Subscript)
        if isinstance(each.ctx, ast.Store) and isinstance(each.value, ast.Name) and each.value.id == name.id
        and isinstance(each.slice, ast.Constant) and isinstance(each.slice.value, str)
        and module.binding(each.value) is binding and each.lineno < name.lineno and leads_to(module, each, name)
    }  # fmt: skip


def mutable_given(module: Module, call: ast.Call) -> set[str] | bool | None:
    """Returns the collections that `mutable` of a call names, a bool where it is one, None where it is not known."""
    given = argument(call, None, "mutable")
    if given is None:
        return None if has_stars(call) else False
    node = certain(module, given)
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, bool) else {node.value} if isinstance(node.value, str) else None
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        names = [each.value if isinstance(each, ast.Constant) else None for each in node.elts]
        return {each for each in names if isinstance(each, str)} if all(isinstance(n, str) for n in names) else None
    return None
