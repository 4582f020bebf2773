"""VX308: a training step that is not compiled runs operation by operation."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from verax.lint._module import Module
from verax.lint._rule import Found, rule
from verax.lint._scopes import Function
from verax.lint._traced import EAGER, STAGING, traced, transform_of, transforms_around

UPDATES = {"optax.apply_updates", "equinox.apply_updates", "jax.tree.map", "jax.tree_util.tree_map", "jax.tree_map"}


@rule("VX308", "train-step-not-jitted", "note", opt_in=True)
def train_step_not_jitted(module: Module) -> Iterator[Found]:
    """A function that takes gradients and applies them is called in a loop and never jitted.

    Without `jit` each operation is dispatched by itself and the gradient is traced at every call; a compiled step is
    often many times faster.

    Bad:

        for batch in batches:
            params = sgd(params, batch)

    Good:

        sgd = jax.jit(sgd)

    Off by default, as scripts for debugging do this on purpose. The fix is left to you: what must be static is not
    known. Not seen: steps that another file compiles.
    """
    called = _called_in_loops(module)
    if not called:
        return
    known = traced(module)
    for function in module.nodes(ast.FunctionDef):
        if function not in called or function in known.of or transforms_around(module, function):
            continue
        if function.decorator_list and any(_is_unknown(module, each) for each in function.decorator_list):
            continue
        if _takes_gradients(module, function) and _updates(module, function):
            message = f"`{function.name}` takes gradients and applies them in a loop, but is not compiled. Use jax.jit."
            yield Found(function, message)


def _called_in_loops(module: Module) -> set[Function]:
    found: set[Function] = set()
    for call in module.nodes(ast.Call):
        if isinstance(call.func, ast.Name | ast.Attribute) and module.loop(call) is not None:
            definition = module.definition(call.func)
            if isinstance(definition, ast.FunctionDef) and not transforms_around(module, call):
                found.add(definition)
    return found


def _is_unknown(module: Module, node: ast.expr) -> bool:
    return transform_of(module, node) is None and module.dotted(node) not in ("builtins.staticmethod",)


def _takes_gradients(module: Module, function: ast.FunctionDef) -> bool:
    for each in ast.walk(function):
        if not isinstance(each, ast.Call):
            continue
        func = each.func
        value = module.value(func) if isinstance(func, ast.Name) else func
        if not isinstance(value, ast.Call):
            continue
        name = module.dotted(value.func)
        if name in EAGER and "grad" in name:
            given = value.args[0] if value.args else None
            inner = module.dotted(given.func) if isinstance(given, ast.Call) else None
            return inner not in STAGING
    return False


def _updates(module: Module, function: ast.FunctionDef) -> bool:
    for each in ast.walk(function):
        if isinstance(each, ast.Call):
            if module.dotted(each.func) in UPDATES:
                return True
            if isinstance(each.func, ast.Attribute) and each.func.attr in ("apply_gradients", "update"):
                return True
        if isinstance(each, ast.BinOp | ast.AugAssign) and isinstance(each.op, ast.Sub | ast.Add):
            value = each.right if isinstance(each, ast.BinOp) else each.value
            names = [one.id for one in ast.walk(value) if isinstance(one, ast.Name)]
            if any(one.startswith(("g", "d")) and ("grad" in one or len(one) <= 2) for one in names):
                return True
    return False
