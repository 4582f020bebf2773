"""Which parameters of a traced function keep Python values."""

from __future__ import annotations

import ast

from verax.lint._module import Module, argument
from verax.lint._scopes import Function
from verax.lint._transforms import PARTIAL
from verax.lint._unwrapped import EVERY


def parameters(function: Function, *, with_self: bool = True) -> list[ast.arg]:
    """Returns the parameters of a function that can be given by place, then those by name only."""
    found = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return found if with_self or not found or found[0].arg not in ("self", "cls") else found[1:]


def static_names(module: Module, function: Function, options: ast.Call | None, bound: int = 0) -> frozenset[str]:
    """Returns the parameters that `static_argnums`, `static_argnames` and broadcast arguments keep as Python values."""
    if options is None:
        return frozenset()
    every = parameters(function)
    by_place = every[: len(function.args.posonlyargs) + len(function.args.args)][bound:]
    found: set[str] = set()
    for each in options.keywords:
        values = literals(module, each.value)
        if each.arg in ("static_argnums", "static_broadcasted_argnums"):
            for value in values:
                if isinstance(value, int) and -len(by_place) <= value < len(by_place):
                    found.add(by_place[value].arg)
            if not values and not _is_empty(module, each.value):
                found |= {one.arg for one in every}  # not a literal: nothing is known of any
        elif each.arg == "static_argnames":
            found |= {name.strip() for value in values if isinstance(value, str) for name in value.split(",")}
            if not values and not _is_empty(module, each.value):
                found |= {one.arg for one in every}
        elif each.arg is None:
            found |= {one.arg for one in every}  # **options
    return frozenset(found)


def _is_empty(module: Module, node: ast.expr) -> bool:
    node = module.value(node)
    if isinstance(node, ast.Constant):
        return node.value is None
    return isinstance(node, ast.Tuple | ast.List) and not node.elts


def literals(module: Module, node: ast.expr) -> list[object]:
    """Returns the constants of a literal, a list or tuple of them, or a name bound to one; empty where it is none."""
    node = module.value(node)
    if isinstance(node, ast.Constant):
        return [node.value]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        value = node.operand.value
        return [-value] if isinstance(value, int | float) else []
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        found = [literals(module, each) for each in node.elts]
        return [each for one in found for each in one] if all(found) else []
    return []


def _by_place(function: Function, bound: int) -> list[str]:
    every = [*function.args.posonlyargs, *function.args.args]
    return [each.arg for each in every[bound:]]


def not_differentiated(
    module: Module, function: Function, name: str, options: ast.Call | None, bound: int
) -> frozenset[str]:
    """Returns the parameters that a gradient is not taken of; eager Python sees their values."""
    if name in ("jax.vjp", "jax.jvp", "jax.linearize"):
        return frozenset()
    chosen = None if options is None else argument(options, _place(module, options), "argnums")
    numbers: list[object] = [0] if chosen is None else literals(module, chosen)
    places = _by_place(function, bound)
    kept = {places[each] for each in numbers if isinstance(each, int) and -len(places) <= each < len(places)}
    return frozenset(each.arg for each in parameters(function)) - kept


def not_mapped(module: Module, function: Function, options: ast.Call, bound: int) -> frozenset[str]:
    """Returns the parameters that `vmap` passes on as they are; all of them where `in_axes` is not known."""
    axes = argument(options, _place(module, options), "in_axes")
    if axes is None:
        return frozenset()
    axes = module.value(axes)
    if isinstance(axes, ast.Constant):
        return frozenset() if axes.value is not None else frozenset(_by_place(function, bound))
    if isinstance(axes, ast.Tuple | ast.List) and not any(isinstance(each, ast.Starred) for each in axes.elts):
        places = _by_place(function, bound)
        return frozenset(
            place for place, each in zip(places, axes.elts, strict=False) if not _is_mapped(module.value(each))
        )  # fmt: skip
    return frozenset(each.arg for each in parameters(function))


def _place(module: Module, options: ast.Call) -> int | None:
    """Returns where the first option after the function stands: `grad(f, 1)`, `vmap(f, (0, None))`."""
    return None if module.dotted(options.func) in PARTIAL else 1


def _is_mapped(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) or (isinstance(node, ast.Constant) and node.value is not None)


def given_by_partial(function: Function, bound: int, given: frozenset[str]) -> frozenset[str]:
    """Returns the parameters that `partial` has given: they keep the value of the place where that stands."""
    if EVERY in given:
        return frozenset(each.arg for each in parameters(function))
    return frozenset(each.arg for each in parameters(function)[:bound]) | given


def not_sharded(module: Module, function: Function, options: ast.Call, bound: int) -> frozenset[str]:
    """Returns the parameters whose entry of `in_specs` is None: `shard_map` passes them on as they are."""
    specs = next((module.value(each.value) for each in options.keywords if each.arg == "in_specs"), None)
    if not isinstance(specs, ast.Tuple) or any(isinstance(each, ast.Starred) for each in specs.elts):
        return frozenset()
    named = zip(_by_place(function, bound), specs.elts, strict=False)
    return frozenset(name for name, each in named if isinstance(each, ast.Constant) and each.value is None)
